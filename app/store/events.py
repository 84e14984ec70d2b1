"""The log's rows: `app.events.log.Log` on PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.events.bus import Numbered
from app.events.log import PAGE
from app.store.database import read
from app.store.tables import Job, JobEvent


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
