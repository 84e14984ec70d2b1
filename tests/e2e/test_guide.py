"""Each row of the user's guide, in its order, with a client that is written only by the guide."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.conftest import Running
from tests.helpers.guide_client import KINDS, ORDER, GuideClient

IDEA = (
    "A reading list for our book club: each book has a title, an author and a rating. The members use it on"
    " their phones, because the paper list gets lost, and it is good when everybody sees what we read next."
)


@pytest.fixture
async def ada(service: Running) -> AsyncIterator[GuideClient]:
    client = GuideClient(service.url, service.ws_url)
    await client.enter()
    yield client
    await client.http.aclose()


async def test_1_authentication(service: Running, ada: GuideClient) -> None:
    assert (await ada.http.get("/api/jobs/")).status_code == 200
    ada.http.headers.pop("Authorization")
    assert (await ada.http.get("/api/jobs/")).status_code == 401


async def test_2_job_lifecycle(ada: GuideClient) -> None:
    first = await ada.post("/api/jobs/", 201, {"prompt": IDEA})
    assert first["status"] == "collecting"
    second = await ada.post("/api/jobs/", 201, {"prompt": "Something else"})
    assert [job["id"] for job in await ada.get("/api/jobs/")] == [second["id"], first["id"]]
    detail = await ada.get(f"/api/jobs/{first['id']}/")
    assert isinstance(detail["steps"], list)
    assert detail["messages"][0]["content"] == IDEA
    answer = await ada.http.patch(f"/api/jobs/{first['id']}/", json={"initial_prompt": "new text"})
    assert answer.status_code == 200
    assert (answer.json()["initial_prompt"], answer.json()["prompt"]) == ("new text", "new text")
    assert (await ada.http.delete(f"/api/jobs/{first['id']}/")).status_code == 204
    assert (await ada.http.get(f"/api/jobs/{first['id']}/")).status_code == 404
    assert (await ada.http.delete("/api/jobs/purge/")).status_code == 200
    assert await ada.get("/api/jobs/") == []


async def test_3_chat_history(ada: GuideClient) -> None:
    job = await ada.post("/api/jobs/", 201, {"prompt": "A list of plants"})
    async with ada.socket(job["id"], "&since=0") as socket:
        await socket.until("stageUpdate", role="agent")
    history = await ada.get("/api/job-messages/", job_id=job["id"])
    assert [message["role"] for message in history[:2]] == ["user", "agent"]
    assert await ada.get(f"/api/job-messages/{history[1]['id']}/") == history[1]
    note = {"job_id": job["id"], "role": "system", "sender": "tool", "content": "noted"}
    made = await ada.post("/api/job-messages/", 201, note)
    assert (await ada.http.delete(f"/api/job-messages/{made['id']}/")).status_code == 204


async def test_5_the_socket_refuses_what_it_cannot_read(ada: GuideClient) -> None:
    job = await ada.post("/api/jobs/", 201, {"prompt": "A list of plants"})
    async with ada.socket(job["id"]) as socket:
        await socket.connection.send("{not json")
        assert (await socket.until("error"))["message"]
        await socket.say("Mine, on the balcony.")
        mine = await socket.until("stageUpdate", role="user")
        assert mine["content"] == "Mine, on the balcony."
        assert mine["metadata"]["stage"] == "requirements"


@pytest.mark.parametrize(("query", "code"), [("?token=nonsense", 4001), ("", 4001)])
async def test_9_sockets_without_a_valid_token_are_closed(
    service: Running, ada: GuideClient, query: str, code: int
) -> None:
    job = await ada.post("/api/jobs/", 201, {"prompt": "A list of plants"})
    async with connect(f"{service.ws_url}/ws/jobs/{job['id']}/{query}") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


async def play(ada: GuideClient, socket: Any) -> None:
    """Answer questions as long as the job's status is `collecting`."""
    while True:
        event = await socket.next()
        if event["kind"] == "jobStatus":
            return
        if event["kind"] == "stageUpdate" and event["role"] == "agent":
            await socket.say("That is fine, please go ahead.")


@pytest.mark.timeout(240)
async def test_8_end_to_end(ada: GuideClient) -> None:
    job = await ada.post("/api/jobs/", 201, {"prompt": IDEA})
    path = f"/api/jobs/{job['id']}"
    async with ada.socket(job["id"], "&since=0") as socket:
        await play(ada, socket)
        await socket.until("jobStatus", status="tickets_ready")
        tickets = await ada.get("/api/tickets/", job_id=job["id"])
        assert {ticket["type"] for ticket in tickets} >= {"epic", "story"}
        assert await ada.get(f"/api/tickets/{tickets[0]['id']}/")
        await socket.until("jobStatus", status="building")
        refused = await ada.http.post(f"{path}/continue/", json={"requirements": "Add CSV export"})
        assert refused.status_code == 409
        await socket.until("jobStatus", status="build_done")
        assert socket.statuses() == ORDER[1:]
        assert {event["kind"] for event in socket.seen} - {"synced"} <= KINDS
        assert {event["status"] for event in socket.seen if event["kind"] == "ticketUpdate"} >= {
            "todo",
            "in_progress",
            "done",
        }

        await _files(ada, path)
        answer = await ada.post(f"{path}/continue/", 202, {"requirements": "Add CSV export"})
        assert answer["detail"] == "Continuation queued."
        assert answer["job"]["status"] == "queued"
        again = await ada.http.post(f"{path}/continue/", json={"requirements": "And more"})
        assert again.status_code == 409
        kept = {t["id"] for t in await ada.get("/api/tickets/", job_id=job["id"]) if t["status"] == "done"}
        await socket.until("ticketReset")
        now = await ada.get("/api/tickets/", job_id=job["id"])
        assert kept <= {ticket["id"] for ticket in now}
        await socket.until("jobStatus", status="build_done")
        assert socket.statuses() == [*ORDER[1:], *ORDER[1:]]

    detail = await ada.get(f"{path}/")
    assert detail["verification"] == "verified"
    assert detail["steps"]
    await _every_requirement_is_traced(ada, path)
    await _the_union_is_the_log(ada, job["id"], socket.seen)
    assert (await ada.post(f"{path}/containers/stop", 200))["detail"] == "Job container stopped."
    assert (await ada.http.delete(f"{path}/")).status_code == 204


async def _every_requirement_is_traced(ada: GuideClient, path: str) -> None:
    """The trace over both runs leads from each requirement to tickets, commits and results of checks."""
    trace = await ada.get(f"{path}/trace/")
    assert all(requirement["proven"] for requirement in trace)
    tickets = [ticket for requirement in trace for ticket in requirement["tickets"]]
    assert {ticket["run"] for ticket in tickets} == {1, 2}
    assert all(ticket["commit"] for ticket in tickets)
    results = [(check["before"], check["after"]) for ticket in tickets for check in ticket["checks"]]
    evidence = {item["id"]: item["phase"] for item in await ada.get(f"{path}/evidence/")}
    assert {evidence[before["evidence_id"]] for before, _ in results if before} == {"red"}
    assert {evidence[after["evidence_id"]] for _, after in results} == {"final"}


async def _files(ada: GuideClient, path: str) -> None:
    """Section 7: start the container, browse, read, save."""
    started = await ada.post(f"{path}/containers/start", 200)
    assert started == {"detail": "Job container is running."}
    tree = await ada.get(f"{path}/files/structure/", path="/app", limit=200)
    names = [node["name"] for node in tree["structure"]]
    assert "server.py" in names
    content = await ada.get(f"{path}/files/content/", path="/app/README.md")
    edited = {"path": "/app/README.md", "content": content["content"] + "\nMine.\n", "encoding": "utf-8"}
    saved = await ada.post(f"{path}/files/save", 200, edited)
    assert {"path", "bytes_written", "size", "modified_at"} <= set(saved)
    content = await ada.get(f"{path}/files/content/", path="/app/README.md")
    assert content["content"].endswith("Mine.\n")


async def _the_union_is_the_log(ada: GuideClient, job_id: str, seen: list[dict[str, Any]]) -> None:
    """A client that stops at any event and reconnects with `since` gets the whole log in order."""
    whole = [event for event in seen if "seq" in event]
    assert [event["seq"] for event in whole] == list(range(1, len(whole) + 1))

    async def rest_after(seq: int) -> list[dict[str, Any]]:
        async with ada.socket(job_id, f"&since={seq}") as socket:
            await socket.until("synced")
            return socket.seen[:-1]

    for start in range(0, len(whole) + 1, 8):
        places = range(start, min(start + 8, len(whole) + 1))
        for place, rest in zip(places, await asyncio.gather(*map(rest_after, places)), strict=True):
            assert whole[:place] + rest == whole
