"""The trace of a job: requirement, ticket, commit, check, result."""

from typing import Any

from tests.helpers.rows import CHECK, add_app, add_evidence, add_ticket
from tests.helpers.service import Person, Service


def wanted(number: int) -> dict[str, Any]:
    return {"id": f"R{number}", "title": f"Wish {number}", "description": "Please.", "priority": "must"}


async def traced(person: Person, job_id: str, query: str = "") -> list[dict[str, Any]]:
    answer = await person.client.get(f"/api/jobs/{job_id}/trace/{query}")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_a_requirement_is_proven_by_a_check_that_failed_before_and_passes_now(
    service: Service, ada: Person
) -> None:
    res, job_id = service.resources, await ada.job()
    assert await traced(ada, job_id) == []
    await add_app(res, job_id, requirement_list=[wanted(1), wanted(2), wanted(3)])
    done = {"status": "done", "commit": "c" * 40}
    proven = await add_ticket(res, job_id, 1, **done, requirements=["R1", "R2"])
    vacuous = await add_ticket(res, job_id, 2, **done, requirements=["R2"])
    alone = await add_ticket(res, job_id, 3, requirements=[])
    await add_ticket(res, job_id, 4, type="epic", checks=[], acceptance_criteria=[], requirements=["R3"])
    await add_evidence(res, job_id, proven, False, "red")
    await add_evidence(res, job_id, proven, False, "green")
    last = await add_evidence(res, job_id, proven, True, "final")
    await add_evidence(res, job_id, proven, False, "bisect")
    await add_evidence(res, job_id, vacuous, True, "red")
    await add_evidence(res, job_id, vacuous, True, "final")
    rows = await traced(ada, job_id)
    assert [(row["id"], row["proven"]) for row in rows] == [
        ("R1", True),
        ("R2", False),
        ("R3", False),
        ("", False),
    ]
    assert [[ticket["id"] for ticket in row["tickets"]] for row in rows] == [
        [proven],
        [proven, vacuous],
        [],
        [alone],
    ]
    (check,) = rows[0]["tickets"][0]["checks"]
    assert (check["criterion"], check["check"], check["proven"]) == ("It answers", CHECK, True)
    assert (check["before"]["phase"], check["before"]["passed"]) == ("red", False)
    assert (check["after"]["evidence_id"], check["after"]["commit"]) == (last, "c" * 40)
    (never,) = rows[3]["tickets"][0]["checks"]
    assert (never["before"], never["after"], never["proven"]) == (None, None, False)


async def test_a_trace_in_pages(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    await add_app(service.resources, job_id, requirement_list=[wanted(number) for number in range(1, 6)])
    first = await ada.client.get(f"/api/jobs/{job_id}/trace/?limit=2")
    second = await ada.client.get(first.links["next"]["url"])
    assert [row["id"] for row in first.json() + second.json()] == ["R1", "R2", "R3", "R4"]
    assert [row["id"] for row in await traced(ada, job_id, "?after=R4&limit=1000")] == ["R5"]
    wrong = await ada.client.get(f"/api/jobs/{job_id}/trace/?after=R9")
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "after")
