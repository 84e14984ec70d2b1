"""The bus on a real Valkey, and during outages of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from redis.asyncio import Redis
from structlog.testing import capture_logs

from app.domain.events import HINT_BYTES
from app.events.bus import Numbered
from app.events.redis import (
    ACK_TIMEOUT_S,
    CHANNEL,
    MOST_WAITING,
    TELL_TIMEOUT_S,
    RedisBus,
    RedisHints,
    open_redis,
)
from tests.helpers.wire import wire_to


@dataclass
class Ear:
    """Records what was received; None means "read the log"."""

    heard_of: asyncio.Queue[tuple[UUID, int, str] | None] = field(default_factory=asyncio.Queue)

    def heard(self, job_id: UUID, seq: int, payload: str) -> None:
        self.heard_of.put_nowait((job_id, seq, payload))

    def overheard(self, job_id: UUID, payload: str) -> None:
        raise AssertionError("nobody whispers here")

    def look(self) -> None:
        self.heard_of.put_nowait(None)

    async def next(self) -> tuple[UUID, int, str] | None:
        async with asyncio.timeout(5):
            return await self.heard_of.get()


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[tuple[RedisHints, Ear]]:
    hints, ear = RedisHints(url), Ear()
    task = asyncio.create_task(hints.run(ear))
    try:
        yield hints, ear
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def telling(url: str) -> AsyncIterator[RedisBus]:
    bus = RedisBus(open_redis(url))
    yield bus
    await bus.close()


async def test_a_short_event_travels_along_and_a_long_one_only_rings(redis_url: str) -> None:
    job_id, fits, too_long = uuid4(), "é" * (HINT_BYTES // 2), "é" * (HINT_BYTES // 2 + 1)
    async with listening(redis_url) as (hints, ear), telling(redis_url) as bus:
        assert await ear.next() is None
        began = time.monotonic()
        await hints.subscribe(job_id)
        assert time.monotonic() - began < ACK_TIMEOUT_S  # it was acknowledged
        await bus.tell(job_id, [Numbered(1, '{"a": 1}'), Numbered(2, fits), Numbered(3, too_long)])
        await bus.tell(job_id, [])
        heard = [await ear.next() for _ in range(4)]
    assert heard == [(job_id, 1, '{"a": 1}'), (job_id, 2, fits), (job_id, 3, ""), None]


async def test_only_subscribed_jobs_are_heard(redis_url: str) -> None:
    one, other = uuid4(), uuid4()
    async with listening(redis_url) as (hints, ear), telling(redis_url) as bus:
        assert await ear.next() is None
        await hints.subscribe(one)
        await hints.subscribe(other)
        await hints.unsubscribe(one)
        await hints.subscribe(one)
        await hints.unsubscribe(other)
        await bus.tell(other, [Numbered(1, "1")])
        await bus.tell(one, [Numbered(1, "1")])
        assert await ear.next() == (one, 1, "1")


async def test_a_lost_connection_is_made_again_with_all_its_jobs(redis_url: str) -> None:
    job_ids = [uuid4() for _ in range(50)]
    async with (
        wire_to(redis_url) as (wire, near),
        listening(near) as (hints, ear),
        telling(redis_url) as bus,
    ):
        assert await ear.next() is None
        for job_id in job_ids[:25]:
            await hints.subscribe(job_id)
        wire.cut()
        for job_id in job_ids[25:]:
            await hints.subscribe(job_id)
        wire.heal()
        assert await ear.next() is None  # "read the log" comes after all subscriptions are active again
        for job_id in job_ids:
            await bus.tell(job_id, [Numbered(1, "1")])
        assert {await ear.next() for _ in job_ids} == {(job_id, 1, "1") for job_id in job_ids}


async def test_an_outage_of_redis_delays_nobody(redis_url: str) -> None:
    async with (
        wire_to(redis_url) as (wire, near),
        listening(near) as (hints, ear),
        telling(near) as bus,
    ):
        assert await ear.next() is None
        await bus.tell(uuid4(), [Numbered(1, "1")])
        wire.stall()
        began = time.monotonic()
        await hints.subscribe(uuid4())
        assert time.monotonic() - began < ACK_TIMEOUT_S + 0.5
        for down in (wire.stall, wire.cut):
            down()
            began = time.monotonic()
            await bus.tell(uuid4(), [Numbered(1, "1")])
            assert time.monotonic() - began < 0.1
        wire.heal()
        await bus.tell(uuid4(), [Numbered(1, "1")])


async def test_an_unknown_message_makes_the_hub_read_the_log(redis_url: str) -> None:
    job_id = uuid4()
    async with listening(redis_url) as (hints, ear):
        assert await ear.next() is None
        await hints.subscribe(job_id)
        redis: Redis = open_redis(redis_url)
        for nonsense in (b"x", b"\xff\xfe", b"1.5 {}"):
            await redis.publish(f"{CHANNEL}{job_id}", nonsense)
            assert await ear.next() is None
        await redis.publish(f"{CHANNEL}{job_id}", b"7")
        assert await ear.next() == (job_id, 7, "")
        await redis.aclose()


async def test_an_outage_is_logged_once_and_not_for_every_hint() -> None:
    bus = RedisBus(open_redis("redis://127.0.0.1:1/0"))
    with capture_logs() as told:
        for number in range(20):
            await bus.tell(uuid4(), [Numbered(number + 1, "{}")])
            await bus.drain()
    assert [line["event"] for line in told] == ["hints.lost"]
    await bus.close()


async def test_hints_wait_within_limits_while_redis_hangs(redis_url: str) -> None:
    """Afterwards it is delivered in order, or counted as lost."""
    job_id = uuid4()
    async with (
        listening(redis_url) as (hints, ear),
        wire_to(redis_url) as (wire, near),
        telling(near) as bus,
    ):
        assert await ear.next() is None
        await hints.subscribe(job_id)
        await bus.tell(job_id, [Numbered(1, "1")])
        assert await ear.next() == (job_id, 1, "1")
        wire.stall()
        with capture_logs() as told:
            for number in range(2, 2 * MOST_WAITING):
                await bus.tell(job_id, [Numbered(number, "1")])
        assert [line["error"] for line in told] == ["too many"]
        assert len(bus._waiting) == MOST_WAITING
        wire.heal()
        heard = [await ear.next() for _ in range(MOST_WAITING)]
        assert heard == [(job_id, number, "1") for number in range(2, MOST_WAITING + 2)]


async def test_a_bus_closes_in_time_with_waiting_hints(redis_url: str) -> None:
    async with wire_to(redis_url) as (wire, near):
        bus = RedisBus(open_redis(near))
        await bus.tell(uuid4(), [Numbered(1, "1")])
        await bus.drain()
        wire.stall()
        for number in range(MOST_WAITING):
            await bus.tell(uuid4(), [Numbered(number + 1, "1")])
        began = time.monotonic()
        await bus.close()
        assert time.monotonic() - began < TELL_TIMEOUT_S + 1
