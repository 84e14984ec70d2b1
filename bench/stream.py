"""P4, P6 and P8: what it costs to tell sockets of an event, how soon one knows, and what coming back costs.

python -m bench.stream     (about three minutes; no key, no network, no engine)
"""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

import uvloop
from redis.asyncio import Redis

from app.resources import Resources
from bench.listener import Heard, Tally, listening
from bench.measure import Cost, Row, Side, compare, cost, show_ratios
from bench.rows import committing, event, quiet_job, tell
from bench.service import Service, program, service
from tests.helpers.house import open_house
from tests.helpers.rows import take_any

SOCKETS, EVENTS = 100, 200
COMMITS = 50
MISSED, RETURNS = 1000, 20


@dataclass(frozen=True)
class Streams:
    """Where a server's sockets are opened, with which credential, and the server's process."""

    url: str
    pid: int
    token: str = ""

    def hear(
        self, job_id: UUID, heard: Heard, sockets: int = 1, query: str = ""
    ) -> AbstractAsyncContextManager[None]:
        return listening(f"{self.url}/ws/jobs/{job_id}/{query}", heard, self.token, sockets)


@asynccontextmanager
async def bare_streams(running: Service) -> AsyncIterator[Streams]:
    """`bench.bare_stream`."""
    parts = {"DATABASE_URL": running.database_url, "REDIS_URL": running.redis_url}
    async with program("-m", "bench.bare_stream", says=r"^(\d+)$", environment=parts) as (process, port):
        yield Streams(f"ws://127.0.0.1:{port}", process.pid)


async def fan_out(streams: Streams, resources: Resources, owner: UUID) -> Cost:
    """P4: of one delivery. An event is told when all have heard the one before: nothing is put together."""
    job_id, tally = await quiet_job(resources, owner), Tally()

    async def tell_all() -> None:
        for place in range(EVENTS):
            await tell(resources, job_id)
            await tally.until((place + 1) * SOCKETS)

    async with streams.hear(job_id, tally, SOCKETS):
        return await cost(tell_all, EVENTS * SOCKETS, streams.pid)


async def arrival(
    streams: Streams, resources: Resources, owner: UUID, database_url: str, redis_url: str
) -> Row:
    """P6: from the end of a unit, where its event is numbered, written and committed, to the event on a
    socket, while others are open; beside a bare commit and what was published coming back."""
    job_id, idle_id, tally = await quiet_job(resources, owner), await quiet_job(resources, owner), Tally()

    async def told() -> Cost:
        async with AsyncExitStack() as later:
            unit = await later.enter_async_context(resources.unit())
            await take_any(unit, job_id)
            unit.tell(event(), unit.moment())

            async def commit_and_hear() -> None:
                heard = tally.count
                await later.aclose()
                await tally.until(heard + 1)

            return await cost(commit_and_hear)

    async with (
        committing(database_url) as commit,
        Redis.from_url(redis_url) as redis,
        redis.pubsub() as published,
        streams.hear(idle_id, Tally(), SOCKETS),
        streams.hear(job_id, tally),
    ):
        await published.subscribe("bench")
        await published.get_message(timeout=5)

        async def bare() -> None:
            await commit()
            await redis.publish("bench", "x")
            assert await published.get_message(timeout=5)

        side = Side("the end of a unit → its event on a socket", told, 2.0)
        (row,) = await compare(partial(cost, bare), side, rounds=COMMITS)
    return row


async def come_back(streams: Streams, job_id: UUID, since: int, texts: int) -> Cost:
    """P8: from the handshake to the last of what was missed."""

    async def return_often() -> None:
        for _ in range(RETURNS):
            tally = Tally()
            async with streams.hear(job_id, tally, query=f"?since={since}"):
                await tally.until(texts)

    return await cost(return_often, RETURNS, streams.pid)


async def main(folder: Path) -> None:
    async with (
        service(folder / "stack", WORKERS="1") as running,
        bare_streams(running) as bare,
        open_house(running.database_url, running.redis_url, folder / "boxes") as house,
    ):
        person = await running.person()
        owner = UUID((await person.get("/api/auth/me/"))["id"])
        ours = Streams(person.ws_url, running.api, person.access)
        resources = house.resources

        delivered = Side("a delivery", partial(fan_out, ours, resources, owner), 1.8)
        rows = await compare(partial(fan_out, bare, resources, owner), delivered)
        show_ratios(f"P4: an event to {SOCKETS} sockets", "`websockets.broadcast`", rows)

        row = await arrival(ours, resources, owner, running.database_url, running.redis_url)
        show_ratios(f"P6: commit → client, {SOCKETS} idle sockets", "commit, publish → get", [row])

        job_id = await quiet_job(resources, owner)
        await tell(resources, job_id, MISSED)
        back = Side("a return", partial(come_back, ours, job_id, 0, MISSED + 1), 2.0)  # `synced` comes last
        rows = await compare(partial(come_back, bare, job_id, 0, MISSED), back)
        show_ratios(f"P8: coming back after {MISSED} events", "SELECT and send", rows)
        await person.http.aclose()


if __name__ == "__main__":
    os.environ.pop("DOCKER_HOST", None)
    with tempfile.TemporaryDirectory() as made:
        uvloop.run(main(Path(made)))
