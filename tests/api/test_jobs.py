"""Jobs: create, list, read, change, delete; their events; and calls that control their runs."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.job import Status
from tests.helpers.parts import Parts
from tests.helpers.rows import TO_BUILDING, add_evidence, add_ticket, advance_job, fail_job
from tests.helpers.service import Person, Service, serve

NOBODY = "0199a1f2-0000-7000-8000-000000000000"


async def status_of(person: Person, job_id: str) -> str:
    status: str = (await person.client.get(f"/api/jobs/{job_id}/")).json()["status"]
    return status


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()]


async def test_a_new_job(ada: Person) -> None:
    answer = await ada.client.post("/api/jobs/", json={"prompt": "A list\nwith ünïcode 📚", "unknown": 1})
    assert answer.status_code == 201
    job = answer.json()
    assert job["status"] == "collecting"
    assert job["initial_prompt"] == job["prompt"] == "A list\nwith ünïcode 📚"
    assert (job["requirements_summary"], job["error_message"]) == ("", "")
    assert job["usage"] == {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0, "model_calls": 0}
    detail = (await ada.client.get(f"/api/jobs/{job['id']}/")).json()
    assert detail.pop("steps") == []
    [message] = detail.pop("messages")
    assert detail == job
    assert (message["role"], message["sender"], message["content"]) == ("user", "Ada", job["prompt"])
    assert message["metadata"] == {"stage": "requirements"}


@pytest.mark.parametrize(
    "prompt", ["", "  \n ", "x" * 5001, None, 1, [], {}, "nul\0", "lone \ud800 surrogate"]
)
async def test_invalid_prompts(ada: Person, prompt: Any) -> None:
    body = httpx.Response(200, json={"prompt": prompt}) if not isinstance(prompt, str) else None
    text = body.text if body else '{"prompt": ' + ascii_json(prompt) + "}"
    answer = await ada.client.post("/api/jobs/", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["prompt"]


def ascii_json(text: str) -> str:
    return '"' + "".join(f"\\u{ord(char):04x}" for char in text) + '"'


async def test_the_longest_prompt(ada: Person) -> None:
    await ada.job("x" * 5000)


async def test_jobs_are_listed_newest_first_and_are_ones_own(ada: Person, mallory: Person) -> None:
    made = [await ada.job(f"Idea {number}") for number in range(3)]
    assert ids(await ada.client.get("/api/jobs/")) == made[::-1]
    assert ids(await mallory.client.get("/api/jobs/")) == []


async def test_pages_of_a_list(ada: Person) -> None:
    newest_first = [await ada.job(f"Idea {number}") for number in range(5)][::-1]
    seen: list[str] = []
    url = "/api/jobs/?limit=2"
    while url:
        answer = await ada.client.get(url)
        seen += ids(answer)
        url = answer.links.get("next", {}).get("url", "")
    assert seen == newest_first
    second = newest_first[1]
    assert ids(await ada.client.get(f"/api/jobs/?after={second}")) == newest_first[2:]
    assert ids(await ada.client.get(f"/api/jobs/?before={newest_first[3]}&limit=2")) == newest_first[1:3]
    assert ids(await ada.client.get(f"/api/jobs/?before={second}&after={second}")) == []
    backwards = await ada.client.get(f"/api/jobs/?before={newest_first[4]}&limit=3")
    assert ids(backwards) == newest_first[1:4]
    assert ids(await ada.client.get(backwards.links["next"]["url"])) == newest_first[:1]
    assert ids(await ada.client.get("/api/jobs/?limit=99999999999999999999")) == newest_first
    assert ids(await ada.client.get("/api/jobs/?limit=-5")) == newest_first[:1]


@pytest.mark.parametrize("query", ["limit=x", "limit=1.5", "before=x", "after=", f"after={NOBODY}"])
async def test_invalid_pages_of_a_list(ada: Person, query: str) -> None:
    answer = await ada.client.get(f"/api/jobs/?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == query.split("=")[0]


async def test_a_cursor_of_another_user_is_refused(ada: Person, mallory: Person) -> None:
    job_id = await ada.job()
    assert (await mallory.client.get(f"/api/jobs/?after={job_id}")).status_code == 422


async def test_reword(service: Service, ada: Person) -> None:
    job_id = await ada.job("Before")
    answer = await ada.client.patch(f"/api/jobs/{job_id}/", json={"initial_prompt": "After"})
    assert answer.status_code == 200
    assert (answer.json()["initial_prompt"], answer.json()["prompt"]) == ("After", "After")
    assert (await ada.client.patch(f"/api/jobs/{job_id}/", json={})).json()["prompt"] == "After"
    detail = (await ada.client.get(f"/api/jobs/{job_id}/")).json()
    assert detail["messages"][0]["content"] == "Before"
    refused = await ada.client.patch(f"/api/jobs/{job_id}/", json={"initial_prompt": " "})
    assert refused.status_code == 422
    await advance_job(service.resources, job_id, Status.QUEUED)
    late = await ada.client.patch(f"/api/jobs/{job_id}/", json={"initial_prompt": "Late"})
    assert late.status_code == 409


async def test_delete(ada: Person) -> None:
    job_id = await ada.job()
    assert (await ada.client.delete(f"/api/jobs/{job_id}/")).status_code == 204
    assert (await ada.client.get(f"/api/jobs/{job_id}/")).status_code == 404
    assert (await ada.client.delete(f"/api/jobs/{job_id}/")).status_code == 404


async def test_purge(ada: Person, mallory: Person) -> None:
    for _ in range(3):
        await ada.job()
    kept = await mallory.job()
    assert (await ada.client.delete("/api/jobs/purge/")).json() == {"deleted": 3}
    assert (await ada.client.delete("/api/jobs/purge/")).json() == {"deleted": 0}
    assert ids(await mallory.client.get("/api/jobs/")) == [kept]


async def test_many_purges_at_once_delete_each_job_once(ada: Person) -> None:
    for _ in range(6):
        await ada.job()
    answers = await asyncio.gather(*(ada.client.delete("/api/jobs/purge/") for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sum(answer.json()["deleted"] for answer in answers) == 6


async def test_purge_may_be_off(parts: Parts, tmp_path: Path) -> None:
    async with serve(parts, tmp_path, allow_job_purge=False) as service:
        ada = await service.person()
        await ada.job()
        answer = await ada.client.delete("/api/jobs/purge/")
        assert (answer.status_code, answer.json()["code"]) == (403, "purge_off")
        assert len(ids(await ada.client.get("/api/jobs/"))) == 1
        await ada.client.aclose()


async def test_the_log_is_read_in_pages(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    await advance_job(service.resources, job_id, *TO_BUILDING)
    url = f"/api/jobs/{job_id}/events/"
    everything = (await ada.client.get(url)).json()
    assert [event["seq"] for event in everything] == list(range(1, 8))
    seen: list[Any] = []
    page = f"{url}?limit=3"
    while page:
        answer = await ada.client.get(page)
        assert len(answer.json()) <= 3
        seen += answer.json()
        page = answer.links.get("next", {}).get("url", "")
    assert seen == everything
    assert (await ada.client.get(f"{url}?since=5")).json() == everything[5:]
    assert (await ada.client.get(f"{url}?since={10**30}")).json() == []
    for bad in ("-1", "x", ""):
        assert (await ada.client.get(f"{url}?since={bad}")).status_code == 422


async def test_evidence(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    assert (await ada.client.get(f"/api/jobs/{job_id}/evidence/")).json() == []
    ticket_id = await add_ticket(service.resources, job_id, 1)
    made = [await add_evidence(service.resources, job_id, ticket_id, passed) for passed in (False, True)]
    answer = await ada.client.get(f"/api/jobs/{job_id}/evidence/")
    assert ids(answer) == made
    assert [item["passed"] for item in answer.json()] == [False, True]
    assert {item["run"] for item in answer.json()} == {1}


async def test_start(ada: Person) -> None:
    job_id = await ada.job()
    answer = await ada.client.post(f"/api/jobs/{job_id}/start/")
    assert (answer.status_code, answer.json()["id"]) == (202, job_id)


async def test_pause_and_resume_are_idempotent(ada: Person) -> None:
    job_id = await ada.job()
    for call, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        answer = await ada.client.post(f"/api/jobs/{job_id}/{call}/")
        assert answer.status_code == 200
        assert (answer.json()["is_paused"], answer.json()["status"]) == (paused, "collecting")
    events = (await ada.client.get(f"/api/jobs/{job_id}/events/")).json()
    assert [event["isPaused"] for event in events if event["kind"] == "jobStatus"] == [True, False]


async def test_cancel_then_retry(ada: Person) -> None:
    job_id = await ada.job()
    cancelled = await ada.client.post(f"/api/jobs/{job_id}/cancel/")
    assert cancelled.status_code == 202
    assert (cancelled.json()["status"], cancelled.json()["failure_code"]) == ("failed", "cancelled")
    assert cancelled.json()["error_message"]
    again = await ada.client.post(f"/api/jobs/{job_id}/cancel/")
    assert (again.status_code, again.json()["code"]) == (409, "job_finished")
    retried = await ada.client.post(f"/api/jobs/{job_id}/retry/")
    assert retried.status_code == 202
    assert (retried.json()["status"], retried.json()["error_message"]) == ("queued", "")


async def test_continue(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    await fail_job(service.resources, job_id)
    answer = await ada.client.post(f"/api/jobs/{job_id}/continue/", json={"requirements": "Add PDF export"})
    assert answer.status_code == 202
    assert answer.json()["detail"] == "Continuation queued."
    assert answer.json()["job"]["status"] == "queued"
    last = (await ada.client.get(f"/api/job-messages/?job_id={job_id}")).json()[-1]
    assert (last["content"], last["role"]) == ("Add PDF export", "user")
    assert last["metadata"] == {"stage": "continuation", "type": "user_followup"}
    refused = await ada.client.post(f"/api/jobs/{job_id}/continue/", json={"requirements": "More"})
    assert (refused.status_code, refused.json()["code"]) == (409, "continuation_in_progress")


async def test_only_one_of_many_continuations_wins(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    await fail_job(service.resources, job_id)
    url, body = f"/api/jobs/{job_id}/continue/", {"requirements": "More"}
    answers = await asyncio.gather(*(ada.client.post(url, json=body) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 19


REFUSALS = {
    "start": ({"collecting"}, "already_started"),
    "continue": ({"build_done", "failed"}, "job_running"),
    "pause": ({"collecting", "building"}, "job_finished"),
    "resume": ({"collecting", "building"}, "job_finished"),
    "cancel": ({"collecting", "building"}, "job_finished"),
    "retry": ({"failed"}, "not_failed"),
}
"""In which of the four kinds of state each call is allowed, and the error code in the others."""


@pytest.mark.parametrize("state", ["collecting", "building", "build_done", "failed"])
@pytest.mark.parametrize("call", REFUSALS)
async def test_which_calls_are_allowed_in_which_state(
    service: Service, ada: Person, call: str, state: str
) -> None:
    job_id = await ada.job()
    if state in ("building", "build_done"):
        await advance_job(service.resources, job_id, *TO_BUILDING)
    if state == "build_done":
        await advance_job(service.resources, job_id, Status.BUILD_DONE)
    if state == "failed":
        await fail_job(service.resources, job_id)
    allowed, code = REFUSALS[call]
    answer = await ada.client.post(f"/api/jobs/{job_id}/{call}/", json={"requirements": "More"})
    if state in allowed:
        assert answer.status_code in (200, 202)
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert await status_of(ada, job_id) == state
