"""The chat history."""

from typing import Any

import pytest

from app.domain.job import MAX_CLIENT_MESSAGES, Status
from app.store.tables import Job
from tests.helpers.rows import advance_job
from tests.helpers.service import Person, Service


async def post(person: Person, job_id: str, **more: Any) -> Any:
    body = {"job_id": job_id, "role": "user", "content": "More", **more}
    return await person.client.post("/api/job-messages/", json=body)


async def test_in_order_of_one_job_or_of_all(ada: Person) -> None:
    first, second = await ada.job("First"), await ada.job("Second")
    for number in range(3):
        await post(ada, first, role="system", content=f"Note {number}")
    of_first = (await ada.client.get(f"/api/job-messages/?job_id={first}")).json()
    assert [message["content"] for message in of_first] == ["First", "Note 0", "Note 1", "Note 2"]
    assert sorted(message["created_at"] for message in of_first) == [m["created_at"] for m in of_first]
    assert (await ada.client.get(f"/api/job-messages/?job={first}")).json() == of_first
    everything = (await ada.client.get("/api/job-messages/")).json()
    assert len(everything) == 5
    assert {message["job_id"] for message in everything} == {first, second}
    page = await ada.client.get(f"/api/job-messages/?job={first}&limit=2&after={of_first[0]['id']}")
    assert page.json() == of_first[1:3]
    assert (await ada.client.get(page.links["next"]["url"])).json() == of_first[3:]
    one = await ada.client.get(f"/api/job-messages/{of_first[1]['id']}/")
    assert one.json() == of_first[1]


async def test_a_posted_message(ada: Person) -> None:
    job_id = await ada.job()
    answer = await post(ada, job_id, metadata={"a": [1, {"b": None}]}, content="  byte for byte \n")
    assert answer.status_code == 201
    message = answer.json()
    assert (message["sender"], message["content"]) == ("Ada", "  byte for byte \n")
    assert message["metadata"] == {"stage": "requirements", "a": [1, {"b": None}], "via": "api"}
    other = await post(ada, job_id, role="agent", sender="CEO")
    assert (other.json()["role"], other.json()["sender"]) == ("agent", "CEO")
    events = (await ada.client.get(f"/api/jobs/{job_id}/events/")).json()
    assert [event["content"] for event in events] == ["A reading list", "  byte for byte \n", "More"]


async def test_a_message_to_a_running_job(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    await advance_job(service.resources, job_id, Status.QUEUED)
    answer = await post(ada, job_id)
    assert (answer.status_code, answer.json()["metadata"]["stage"]) == (201, "planning")


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"role": "admin"}, "role"),
        ({"content": ""}, "content"),
        ({"content": "x" * 5001}, "content"),
        ({"content": "\0"}, "content"),
        ({"sender": "\0"}, "sender"),
        ({"sender": "x" * 201}, "sender"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"stage": "nonsense"}}, "metadata"),
        ({"metadata": {"stage": {}}}, "metadata"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"metadata": {"a": 2**70}}, "metadata"),
        ({"metadata": deep(300)}, "metadata"),
        ({"metadata": {"a": "x" * 20_000}}, "metadata"),
    ],
)
async def test_invalid_messages(ada: Person, change: dict[str, Any], field: str) -> None:
    answer = await post(ada, await ada.job(), **change)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"].split(".")[0] == field


async def test_lone_surrogates_in_metadata(ada: Person) -> None:
    job_id = await ada.job()
    body = f'{{"job_id": "{job_id}", "role": "user", "content": "x", "metadata": {{"a": "\\ud800"}}}}'
    headers = {"Content-Type": "application/json"}
    answer = await ada.client.post("/api/job-messages/", content=body, headers=headers)
    assert answer.status_code == 422


async def test_a_number_that_no_double_holds_in_metadata(ada: Person) -> None:
    job_id = await ada.job()
    body = f'{{"job_id": "{job_id}", "role": "user", "content": "x", "metadata": {{"a": [-1e999]}}}}'
    headers = {"Content-Type": "application/json"}
    answer = await ada.client.post("/api/job-messages/", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "metadata"


async def test_a_full_job(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    async with service.resources.unit() as unit:
        job = await unit.session.get_one(Job, job_id)
        job.client_messages = MAX_CLIENT_MESSAGES
    answer = await post(ada, job_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "job_full")


async def test_delete(ada: Person) -> None:
    job_id = await ada.job()
    message = (await post(ada, job_id, role="system", content="A secret", sender="CTO")).json()
    url = f"/api/job-messages/{message['id']}/"
    assert (await ada.client.delete(url)).status_code == 204
    assert (await ada.client.get(url)).status_code == 404
    assert (await ada.client.delete(url)).status_code == 404
    events = (await ada.client.get(f"/api/jobs/{job_id}/events/")).json()
    assert [event["seq"] for event in events] == [1, 2, 3]
    told, deleted = events[1:]
    assert told["id"] == deleted["id"] == message["id"]
    assert told["content"] == deleted["content"] == ""
    assert (told["timestamp"], told["sender"]) == (message["created_at"], "CTO")
    assert deleted["metadata"]["deleted"] is True
    detail = (await ada.client.get(f"/api/jobs/{job_id}/")).json()
    assert len(detail["messages"]) == 1
