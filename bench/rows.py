"""What measurements write: bare commits, jobs that no worker takes, and events, told as a worker does it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
from uuid_utils.compat import uuid7

from app.domain.events import StageUpdate
from app.domain.job import Status
from app.domain.values import stamp
from app.events.bus import Numbered
from app.events.redis import RedisBus, open_redis
from app.resources import Resources
from app.store.tables import Job
from tests.helpers.rows import take_any

WORDS = "The list of books shows what was read and what is still to be read, newest first. " * 4


@asynccontextmanager
async def committing(database_url: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """One bare commit of one row."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("create table if not exists bench_commits (at timestamptz)")

    async def commit() -> None:
        async with connection.transaction():
            await connection.execute("insert into bench_commits values (now())")

    try:
        yield commit
    finally:
        await connection.close()


async def quiet_job(resources: Resources, owner: UUID) -> UUID:
    now = datetime.now(UTC)
    moments = {"created_at": now, "updated_at": now, "last_moment": now}
    job = Job(
        id=uuid7(),
        user_id=owner,
        initial_prompt="",
        prompt="",
        status=Status.COLLECTING,
        last_seq=0,
        **moments,
    )
    async with resources.unit() as unit:
        unit.start(job)
    return job.id


def event() -> StageUpdate:
    """Of about 600 bytes, when it is sent."""
    return StageUpdate(
        id=str(uuid4()), role="agent", sender="Builder", content=WORDS, metadata={"stage": "building"}
    )


@asynccontextmanager
async def writer(
    database_url: str, redis_url: str
) -> AsyncIterator[Callable[[UUID], Coroutine[Any, Any, None]]]:
    """What a unit with one event leaves behind, in one statement and told alike: a unit's own price, which is
    its worker's, would be most of what hundreds a second cost."""
    bus = RedisBus(open_redis(redis_url))
    async with asyncpg.create_pool(database_url) as pool:

        async def write(job_id: UUID) -> None:
            head = {"kind": "stageUpdate", "jobId": str(job_id), "seq": 0}
            text = orjson.dumps({**head, "timestamp": stamp(datetime.now(UTC)), **event().payload()}).decode()
            row = await pool.fetchrow(_WRITE, job_id, text)
            assert row
            await bus.tell(job_id, [Numbered(row["seq"], row["payload"])])

        yield write
    await bus.close()


_WRITE = """
    with numbered as (update jobs set last_seq = last_seq + 1 where id = $1 returning last_seq)
    insert into job_events (job_id, seq, kind, payload, created_at)
    select $1, last_seq, 'stageUpdate', replace($2, '"seq":0', '"seq":' || last_seq), now() from numbered
    returning seq, payload
"""


async def tell(resources: Resources, job_id: UUID, events: int = 1) -> None:
    """All of them in one unit."""
    async with resources.unit() as unit:
        await take_any(unit, job_id)
        for _ in range(events):
            unit.tell(event(), unit.moment())
