"""Sockets during outages of Redis or PostgreSQL."""

import asyncio
import time
from uuid import UUID

import httpx
import pytest

from app.api.sockets.codes import Close
from app.events.hub import Hub
from app.store.events import StoredLog
from tests.helpers.sockets import open_socket, stored, tell
from tests.helpers.wire import wire_to
from tests.sockets.conftest import OpenWeb, Person, Web


async def test_without_redis_events_come_by_the_sweep(
    start_web: OpenWeb, redis_url: str, web: Web, ada: Person, job_id: UUID
) -> None:
    async with (
        wire_to(redis_url) as (wire, near),
        start_web(redis_url=near) as other,
        open_socket(other.url(job_id), ada.access) as socket,
    ):
        await tell(web.resources, job_id, "rung")
        assert (await socket.hear())["seq"] == 2
        wire.cut()
        await tell(other.resources, job_id, "swept")
        assert (await socket.hear())["seq"] == 3
        async with open_socket(other.url(job_id, "?since=0"), ada.access) as late:
            await tell(other.resources, job_id, "swept too")
            heard = [await late.hear() for _ in range(5)]
            assert [event.get("seq") for event in heard if event["kind"] != "synced"] == [1, 2, 3, 4]
        assert (await socket.hear())["seq"] == 4


async def test_after_redis_is_back_hints_are_heard_again(
    start_web: OpenWeb, redis_url: str, web: Web, ada: Person, job_id: UUID
) -> None:
    async with (
        wire_to(redis_url) as (wire, near),
        start_web(redis_url=near, sweep_s=60) as other,
        open_socket(other.url(job_id), ada.access) as socket,
    ):
        wire.cut()
        await tell(web.resources, job_id, "missed")
        wire.heal()
        assert (await socket.hear())["seq"] == 2  # the log is read after each reconnect
        await tell(web.resources, job_id, "rung")
        assert (await socket.hear(within_s=2))["seq"] == 3


async def test_a_redis_that_stalls_holds_up_neither_sockets_nor_units(
    start_web: OpenWeb, redis_url: str, web: Web, ada: Person, job_id: UUID
) -> None:
    async with (
        wire_to(redis_url) as (wire, near),
        start_web(redis_url=near) as other,
        open_socket(other.url(job_id), ada.access) as before,
    ):
        wire.stall()
        began = time.monotonic()
        await tell(other.resources, job_id, "one")
        assert time.monotonic() - began < 1
        assert (await before.hear())["seq"] == 2
        async with open_socket(other.url(job_id), ada.access) as after:
            await tell(other.resources, job_id, "two")
            assert (await after.hear())["seq"] == 3


async def test_without_postgres_new_sockets_are_1013_and_old_ones_heal(
    start_web: OpenWeb, database_url: str, web: Web, ada: Person, job_id: UUID
) -> None:
    async with (
        wire_to(database_url) as (wire, near),
        start_web(database_url=near) as other,
        open_socket(other.url(job_id), ada.access) as stays,
    ):
        wire.cut()
        async with open_socket(other.url(job_id), ada.access) as refused:
            assert await refused.closed() == Close.UNAVAILABLE
        await stays.say(kind="chat", content="is anybody there?")
        error = await stays.hear()
        assert (error["kind"], error["code"]) == ("error", "database_down")
        await tell(web.resources, job_id, "rung", "without a database: the text travelled along")
        assert [event["seq"] for event in await stays.hear_all(2)] == [2, 3]
        await tell(web.resources, job_id, "long " * 10_000)
        wire.heal()
        assert (await stays.hear())["seq"] == 4
        await stays.say(kind="chat", content="there you are")
        assert (await stays.hear())["content"] == "there you are"
        async with open_socket(other.url(job_id, "?since=0"), ada.access) as back:
            assert await back.hear_all(5) == await stored(web.resources, job_id)


async def test_a_long_outage_of_redis_costs_an_idle_process_nothing(
    start_web: OpenWeb, web: Web, ada: Person, job_id: UUID
) -> None:
    """A process that never reached Redis can serve sockets, too."""
    async with (
        start_web(redis_url="redis://127.0.0.1:1/0") as other,
        open_socket(other.url(job_id), ada.access) as socket,
    ):
        await asyncio.gather(*(tell(web.resources, job_id, f"word {n}") for n in range(5)))
        assert [event["seq"] for event in await socket.hear_all(5)] == [2, 3, 4, 5, 6]


async def test_a_hub_that_fails_is_reported_and_started_again(
    start_web: OpenWeb, ada: Person, job_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nonsense(*_: object) -> dict[UUID, int]:
        raise ZeroDivisionError

    async with start_web() as other, httpx.AsyncClient(base_url=f"http://127.0.0.1:{other.port}") as http:

        async def events() -> bool:
            ok: bool = (await http.get("/readyz")).json()["checks"]["events"]["ok"]
            return ok

        assert await events()
        async with open_socket(other.url(job_id), ada.access) as socket:
            with monkeypatch.context() as failing:
                failing.setattr(StoredLog, "heads", nonsense)
                failing.setattr(Hub, "_sweeps", nonsense)  # so that it cannot start again yet
                assert await socket.closed() == Close.OUR_FAULT
                assert not await events()
                async with open_socket(other.url(job_id), ada.access) as late:
                    assert await late.closed() == Close.UNAVAILABLE
        async with asyncio.timeout(10):
            while not await events():  # noqa: ASYNC110 - readiness rings no bell
                await asyncio.sleep(0.05)
        async with open_socket(other.url(job_id), ada.access) as again:
            await tell(other.resources, job_id, "It goes on.")
            assert (await again.hear())["content"] == "It goes on."
