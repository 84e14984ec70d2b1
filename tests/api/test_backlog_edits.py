"""A client edits the backlog between runs."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.domain.backlog import MAX_CLIENT_TICKETS
from app.domain.job import Status
from tests.helpers.rows import CHECK, TO_BUILDING, add_evidence, add_ticket, advance_job, fail_job, take_any
from tests.helpers.service import Person, Service

TICKETS = "/api/tickets/"


@pytest.fixture
async def job_id(service: Service, ada: Person) -> str:
    """The id of a job whose run is over."""
    made = await ada.job()
    await fail_job(service.resources, made)
    return made


async def post(person: Person, job_id: str, **more: Any) -> httpx.Response:
    return await person.client.post(TICKETS, json={"job_id": job_id, "type": "task", "title": "One", **more})


async def made(person: Person, job_id: str, **more: Any) -> str:
    answer = await post(person, job_id, **more)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found


async def patch(person: Person, ticket_id: str, **more: Any) -> httpx.Response:
    return await person.client.patch(f"{TICKETS}{ticket_id}/", json=more)


async def backlog(person: Person, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await person.client.get(f"{TICKETS}?job_id={job_id}")).json()
    return found


async def told(person: Person, job_id: str, since: int) -> list[tuple[str, str, str]]:
    """The events of tickets after `since`: (event, id, status)."""
    events = (await person.client.get(f"/api/jobs/{job_id}/events/?since={since}")).json()
    updates = [event for event in events if event["kind"] == "ticketUpdate"]
    return [(each["metadata"].get("event", ""), each["ticketId"], each["status"]) for each in updates]


async def last_seq(person: Person, job_id: str) -> int:
    found: int = (await person.client.get(f"/api/jobs/{job_id}/")).json()["last_seq"]
    return found


async def test_a_ticket_is_added_changed_and_deleted(ada: Person, job_id: str) -> None:
    since = await last_seq(ada, job_id)
    answer = await post(ada, job_id, acceptance_criteria=["It works"], description="Small.")
    ticket = answer.json()
    assert {**ticket, "id": "", "created_at": "", "updated_at": ""} == {
        "id": "",
        "job_id": job_id,
        "parent_id": None,
        "type": "task",
        "title": "One",
        "description": "Small.",
        "acceptance_criteria": ["It works"],
        "checks": [],
        "status": "todo",
        "assigned_to": "Builder",
        "dependencies": [],
        "order": 1,
        "attempts": 0,
        "contests": [],
        "commit": None,
        "created_at": "",
        "updated_at": "",
    }
    assert await backlog(ada, job_id) == [ticket]
    changed = (await patch(ada, ticket["id"], title="Uno", assigned_to="Grace", type="story")).json()
    assert (changed["title"], changed["assigned_to"], changed["type"]) == ("Uno", "Grace", "story")
    assert changed["description"] == "Small."
    assert changed["updated_at"] > ticket["updated_at"]
    deleted = await ada.client.delete(f"{TICKETS}{ticket['id']}/")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert await backlog(ada, job_id) == []
    assert (await ada.client.delete(f"{TICKETS}{ticket['id']}/")).status_code == 404
    events = await told(ada, job_id, since)
    assert events == [(event, ticket["id"], "todo") for event in ("created", "updated", "deleted")]


async def test_a_change_of_nothing_makes_no_event(ada: Person, job_id: str) -> None:
    ticket_id = await made(ada, job_id, title="One", order=3)
    since = await last_seq(ada, job_id)
    for same in ({}, {"title": "One"}, {"order": 3, "status": "done", "title": None}, {"parent_id": None}):
        answer = await patch(ada, ticket_id, **same)
        assert (answer.status_code, answer.json()["status"]) == (200, "todo")
    assert await last_seq(ada, job_id) == since


@pytest.mark.parametrize("statuses", [(), TO_BUILDING])
async def test_not_while_a_run_is_active(service: Service, ada: Person, statuses: Iterable[Status]) -> None:
    job_id = await ada.job()
    if statuses:
        await advance_job(service.resources, job_id, *statuses)
    ticket_id = await add_ticket(service.resources, job_id, 1)
    answers = [
        await post(ada, job_id),
        await patch(ada, ticket_id, title="Mine"),
        await ada.client.delete(f"{TICKETS}{ticket_id}/"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(409, "job_running")] * 3
    assert [ticket["title"] for ticket in await backlog(ada, job_id)] == ["Ticket 1"]


async def test_order_is_the_order_of_execution(ada: Person, job_id: str) -> None:
    first = await made(ada, job_id, title="First")
    second = await made(ada, job_id, title="Second", dependency_ids=[first])
    between = await made(ada, job_id, title="Between", order=2)

    async def titles() -> list[tuple[str, int]]:
        return [(ticket["title"], ticket["order"]) for ticket in await backlog(ada, job_id)]

    assert await titles() == [("First", 1), ("Between", 2), ("Second", 3)]
    since = await last_seq(ada, job_id)
    assert (await patch(ada, first, dependencies=[between])).json()["dependencies"] == [between]
    assert await titles() == [("Between", 2), ("First", 3), ("Second", 4)]
    assert await told(ada, job_id, since) == [("updated", first, "todo"), ("updated", second, "todo")]
    await patch(ada, between, order=1)
    assert await titles() == [("Between", 1), ("First", 3), ("Second", 4)]


async def test_links_are_within_the_job(service: Service, ada: Person, job_id: str) -> None:
    other_job = await ada.job()
    foreign = await add_ticket(service.resources, other_job, 1)
    foreign_epic = await add_ticket(service.resources, other_job, 2, type="epic", checks=[])
    epic = await made(ada, job_id, type="epic", title="Epic")
    one = await made(ada, job_id, parent_id=epic)
    two = await made(ada, job_id, dependencies=[one, one])
    assert (await ada.client.get(f"{TICKETS}{two}/")).json()["dependencies"] == [one]
    refused: list[tuple[str, dict[str, Any], str]] = [
        (one, {"dependencies": [two]}, "dependencies"),
        (one, {"dependencies": [one]}, "dependencies"),
        (one, {"dependency_ids": [foreign]}, "dependencies"),
        (one, {"dependencies": ["none"]}, "dependencies"),
        (one, {"dependencies": [str(uuid4())]}, "dependencies"),
        (one, {"dependencies": [epic]}, "dependencies"),
        (one, {"parent_id": foreign_epic}, "parent_id"),
        (one, {"parent_id": two}, "parent_id"),
        (one, {"parent_id": ""}, "parent_id"),
        (one, {"type": "epic"}, "type"),
        (epic, {"type": "story"}, "type"),
        (epic, {"parent_id": epic}, "parent_id"),
        (epic, {"dependencies": [two]}, "dependencies"),
        (epic, {"acceptance_criteria": ["It works"]}, "acceptance_criteria"),
        (one, {"title": " "}, "title"),
        (one, {"title": "x" * 301}, "title"),
        (one, {"acceptance_criteria": [""]}, "acceptance_criteria.0"),
        (one, {"order": 0}, "order"),
    ]
    before, since = await backlog(ada, job_id), await last_seq(ada, job_id)
    for ticket_id, change, field in refused:
        answer = await patch(ada, ticket_id, **change)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), change
        assert answer.json()["errors"][0]["field"] == field
    assert (await post(ada, job_id, dependencies=[foreign])).status_code == 422
    assert (await backlog(ada, job_id), await last_seq(ada, job_id)) == (before, since)


async def test_an_epic_follows_the_clients_changes_of_its_tickets(
    service: Service, ada: Person, job_id: str
) -> None:
    epic = await add_ticket(service.resources, job_id, 1, type="epic", status="done", checks=[])
    done = await add_ticket(service.resources, job_id, 2, parent_id=UUID(epic), status="done")
    added = await made(ada, job_id, parent_id=epic, dependencies=[done])

    async def status() -> str:
        found: str = (await ada.client.get(f"{TICKETS}{epic}/")).json()["status"]
        return found

    assert await status() == "in_progress"
    await patch(ada, added, parent_id=None)
    assert await status() == "done"
    assert (await ada.client.delete(f"{TICKETS}{done}/")).status_code == 204
    assert await status() == "todo"
    assert (await ada.client.get(f"{TICKETS}{added}/")).json()["dependencies"] == []
    since = await last_seq(ada, job_id)
    await patch(ada, added, parent_id=epic)
    await ada.client.delete(f"{TICKETS}{epic}/")
    assert (await ada.client.get(f"{TICKETS}{added}/")).json()["parent_id"] is None
    assert [event[:2] for event in await told(ada, job_id, since)] == [
        ("updated", added),
        ("deleted", epic),
        ("updated", added),
    ]


async def test_a_done_ticket_that_asks_for_more_is_to_do_again(
    service: Service, ada: Person, job_id: str
) -> None:
    two = ["It answers", "It is fast"]
    checks = [CHECK, {**CHECK, "id": "c2", "criterion": 1, "path": "/fast"}]
    given = {"acceptance_criteria": two, "checks": checks, "status": "done", "commit": "c" * 40}
    ticket_id = await add_ticket(service.resources, job_id, 1, **given)
    await add_evidence(service.resources, job_id, ticket_id, passed=True)
    kept = (await patch(ada, ticket_id, title="Answer", acceptance_criteria=two[1:])).json()
    assert (kept["status"], kept["commit"]) == ("done", "c" * 40)
    assert kept["checks"] == [{**checks[1], "criterion": 0}]
    more = (await patch(ada, ticket_id, acceptance_criteria=["It is friendly", *two[1:]])).json()
    assert (more["status"], more["commit"]) == ("todo", None)
    assert more["checks"] == [checks[1]]
    assert (await ada.client.delete(f"{TICKETS}{ticket_id}/")).status_code == 204
    (evidence,) = (await ada.client.get(f"/api/jobs/{job_id}/evidence/")).json()
    assert evidence["ticket_id"] is None


async def test_the_number_of_tickets_is_limited(service: Service, ada: Person, job_id: str) -> None:
    async with service.resources.unit() as unit:
        (await take_any(unit, UUID(job_id))).client_tickets = MAX_CLIENT_TICKETS - 1
    last = await made(ada, job_id)
    for _ in range(2):
        answer = await post(ada, job_id)
        assert (answer.status_code, answer.json()["code"]) == (409, "job_full")
        await ada.client.delete(f"{TICKETS}{last}/")
