"""Every event arrives on a socket once and in order, whichever process wrote it."""

import asyncio
import json
from uuid import UUID

import orjson
import pytest
from sqlalchemy import select

from app.domain.events import HINT_BYTES
from app.store.tables import JobEvent
from tests.helpers.sockets import open_socket, stored, tell
from tests.sockets.conftest import OpenWeb, Person, Web, add_job, add_person

GUIDE_KINDS = {
    "stageUpdate",
    "jobStatus",
    "agentDialogue",
    "prdReady",
    "ticketUpdate",
    "ticketReset",
    "error",
}


async def test_events_stored_after_the_accept_arrive(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id), ada.access) as socket:
        await tell(web.resources, job_id, "one", "two")
        heard = await socket.hear_all(2)
        assert await socket.pings() == []
    assert heard == (await stored(web.resources, job_id))[1:]
    assert [event["seq"] for event in heard] == [2, 3]
    assert {event["kind"] for event in heard} <= GUIDE_KINDS
    for event in heard:
        assert event["jobId"] == str(job_id)
        assert event["timestamp"].endswith("Z")


async def test_an_event_too_long_for_the_bell_keeps_its_place(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id), ada.access) as socket:
        await tell(web.resources, job_id, "short", "long " * HINT_BYTES, "short again")
        heard = await socket.hear_all(3)
    assert heard == (await stored(web.resources, job_id))[1:]


async def test_both_spellings_of_the_path_lead_here(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id).removesuffix("/"), ada.access) as socket:
        await tell(web.resources, job_id, "one")
        assert (await socket.hear())["seq"] == 2


async def test_two_processes_tell_the_same(start_web: OpenWeb, web: Web, ada: Person, job_id: UUID) -> None:
    """Two processes write events of a job at the same time, and sockets of both get all of them."""
    async with (
        start_web(sweep_s=60) as other,
        open_socket(web.url(job_id), ada.access) as here,
        open_socket(other.url(job_id), ada.access) as there,
    ):
        await asyncio.gather(
            *(tell(where.resources, job_id, f"word {n}") for n in range(20) for where in (web, other))
        )
        heard = [await socket.hear_all(40) for socket in (here, there)]
    assert heard[0] == heard[1] == (await stored(web.resources, job_id))[1:]


async def test_a_client_back_at_any_event_misses_nothing(web: Web, ada: Person, job_id: UUID) -> None:
    """A client that leaves at any event and returns with `since` gets the whole log without repetition."""
    await tell(web.resources, job_id, *(f"before {n}" for n in range(10)))
    last = (await stored(web.resources, job_id))[-1]["seq"]
    union = []
    for seen in range(last):
        async with open_socket(web.url(job_id, f"?since={seen}"), ada.access) as socket:
            replayed = await socket.hear_all(last - seen)
            assert await socket.hear() == {"kind": "synced", "jobId": str(job_id), "lastSeq": last}
            union.append(replayed[0])
            assert replayed == (await stored(web.resources, job_id))[seen:last]
    assert union == await stored(web.resources, job_id)


async def test_a_long_past_is_replayed_while_the_present_goes_on(web: Web, ada: Person, job_id: UUID) -> None:
    await tell(web.resources, job_id, *(f"past {n}" for n in range(1203)))
    telling = asyncio.create_task(_keep_telling(web, job_id, 60))
    async with open_socket(web.url(job_id, "?since=1"), ada.access) as socket:
        heard = await socket.hear_all(1203 + 60 + 1)
    await telling
    synced = [event for event in heard if event["kind"] == "synced"]
    events = [event for event in heard if event["kind"] != "synced"]
    assert events == (await stored(web.resources, job_id))[1:]
    assert len(synced) == 1
    assert heard.index(synced[0]) == synced[0]["lastSeq"] - 1


async def _keep_telling(web: Web, job_id: UUID, times: int) -> None:
    for n in range(times):
        await tell(web.resources, job_id, f"present {n}")


async def test_many_sockets_that_come_in_mid_stream_all_hear_the_rest(
    web: Web, ada: Person, job_id: UUID
) -> None:
    last = 1 + 60

    async def hear_the_rest(since: str) -> list[int]:
        async with open_socket(web.url(job_id, since), ada.access) as socket:
            numbers: list[int] = []
            while not numbers or numbers[-1] < last:
                event = await socket.hear()
                if event["kind"] == "stageUpdate":
                    numbers.append(event["seq"])
            return numbers

    telling = asyncio.create_task(_keep_telling(web, job_id, 60))
    heard = await asyncio.gather(*(hear_the_rest("?since=0") for _ in range(20)))
    await telling
    assert all(numbers == list(range(1, last + 1)) for numbers in heard)


@pytest.mark.parametrize("since", ["", "x", "-1", "1.5", "²", "0x1", "+1"])
async def test_since_that_is_no_number_is_one_error_then_live(
    web: Web, ada: Person, job_id: UUID, since: str
) -> None:
    async with open_socket(web.url(job_id, f"?since={since}"), ada.access) as socket:
        error = await socket.hear()
        assert (error["kind"], error["code"]) == ("error", "bad_since")
        assert error["message"]
        await tell(web.resources, job_id, "live")
        assert (await socket.hear())["seq"] == 2


@pytest.mark.parametrize("since", ["2", "9" * 18, "9" * 19, "9" * 6000])
async def test_since_ahead_of_the_log_is_one_error_then_live(
    web: Web, ada: Person, job_id: UUID, since: str
) -> None:
    async with open_socket(web.url(job_id, f"?since={since}"), ada.access) as socket:
        error = await socket.hear()
        assert (error["kind"], error["code"], error["lastSeq"]) == ("error", "since_ahead", 1)
        await tell(web.resources, job_id, "live")
        assert (await socket.hear())["seq"] == 2


async def test_since_at_the_end_is_synced_at_once(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id, "?since=1"), ada.access) as socket:
        assert await socket.hear() == {"kind": "synced", "jobId": str(job_id), "lastSeq": 1}


async def test_jobs_do_not_hear_of_each_other(web: Web, ada: Person, job_id: UUID) -> None:
    bob = await add_person(web.resources, "Bob")
    his = await add_job(web.resources, bob)
    async with (
        open_socket(web.url(job_id), ada.access) as hers,
        open_socket(web.url(his), bob.access) as other,
    ):
        await tell(web.resources, job_id, "hers")
        await tell(web.resources, his, "his")
        assert [event["content"] for event in [await hers.hear(), *await hers.pings()]] == ["hers"]
        assert [event["content"] for event in [await other.hear(), *await other.pings()]] == ["his"]


async def test_the_text_sent_is_the_text_stored(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id, "?since=0"), ada.access) as socket:
        sent = await socket.connection.recv()
    assert isinstance(sent, str)
    assert json.loads(sent)["content"] == "A reading list."
    async with web.resources.look() as session:
        assert sent == await session.scalar(select(JobEvent.payload).where(JobEvent.job_id == job_id))


async def test_deltas_reach_only_sockets_that_asked_for_them(web: Web, ada: Person, job_id: UUID) -> None:
    piece = orjson.dumps({"kind": "messageDelta", "jobId": str(job_id), "id": "x", "text": "Wel"}).decode()
    async with (
        open_socket(web.url(job_id, "?deltas=1"), ada.access) as wants,
        open_socket(web.url(job_id), ada.access) as plain,
    ):
        await web.resources.bus.whisper(job_id, piece)
        await tell(web.resources, job_id, "Well.")
        assert [event["kind"] for event in await wants.hear_all(2)] == ["messageDelta", "stageUpdate"]
        assert (await plain.hear())["kind"] == "stageUpdate"
