"""The log's rows: `app.events.log.Log` on PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from app.events.bus import Numbered
from app.events.log import PAGE
from app.store.database import read
from app.store.statements import Statement
from app.store.tables import Job, JobEvent


class Entry(NamedTuple):
    """A row of `JobEvent`."""

    job_id: UUID
    seq: int
    kind: str
    payload: str
    created_at: datetime


_APPEND = Statement(insert(JobEvent))


async def append(session: AsyncSession, entries: Sequence[Entry]) -> None:
    """Add to the log. Every change of the world does, so it goes to the session's driver as it is."""
    connection = await (await session.connection()).get_raw_connection()
    driver = connection.driver_connection
    assert driver is not None
    await driver.executemany(_APPEND.sql, [_APPEND.values(entry._asdict()) for entry in entries])


async def after(connection: AsyncConnection, job_id: UUID, seq: int, limit: int) -> Sequence[Numbered]:
    """The events with a number above `seq`, in order, at most `limit`."""
    rows = await connection.execute(
        select(JobEvent.seq, JobEvent.payload)
        .where(JobEvent.job_id == job_id, JobEvent.seq > seq)
        .order_by(JobEvent.seq)
        .limit(limit)
    )
    return [Numbered(seq, payload) for seq, payload in rows]


class StoredLog:
    """The log, each question in a short read of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def after(self, job_id: UUID, seq: int, limit: int = PAGE) -> Sequence[Numbered]:
        async with read(self._engine) as connection:
            return await after(connection, job_id, seq, limit)

    async def heads(self, job_ids: Collection[UUID]) -> Mapping[UUID, int]:
        async with read(self._engine) as connection:
            rows = await connection.execute(select(Job.id, Job.last_seq).where(Job.id.in_(job_ids)))
            return {row.id: row.last_seq for row in rows}
