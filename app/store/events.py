"""The rows of the event log: `app.events.log.Log` on PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Uuid, any_, bindparam, insert, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.events.bus import Numbered
from app.events.log import PAGE
from app.store.statements import Statement, StatementPool, Statements, within
from app.store.tables import Job, JobEvent

_APPEND = Statement(insert(JobEvent))
_AFTER = Statement(
    select(JobEvent.seq, JobEvent.payload)
    .where(JobEvent.job_id == bindparam("job_id"), JobEvent.seq > bindparam("seq"))
    .order_by(JobEvent.seq)
    .limit(bindparam("most", type_=BigInteger))
)
_HEADS = Statement(
    select(Job.id, Job.last_seq).where(Job.id == any_(bindparam("job_ids", type_=ARRAY(Uuid))))
)


class Entry(NamedTuple):
    """A row of `JobEvent`."""

    job_id: UUID
    seq: int
    kind: str
    payload: str
    created_at: datetime


async def append(session: AsyncSession, entries: Sequence[Entry]) -> None:
    """Add events to the log, through the driver of the session: every unit does this, so it should be
    fast."""
    await (await within(session)).each(_APPEND, [entry._asdict() for entry in entries])


async def after(statements: Statements, job_id: UUID, seq: int, limit: int) -> Sequence[Numbered]:
    """The events with a number above `seq`, in order, at most `limit`."""
    rows = await statements.rows(_AFTER, {"job_id": job_id, "seq": seq, "most": limit})
    return [Numbered(*row) for row in rows]


class StoredLog:
    """The log, read with one statement per call."""

    def __init__(self, pool: StatementPool) -> None:
        self._pool = pool

    async def after(self, job_id: UUID, seq: int, limit: int = PAGE) -> Sequence[Numbered]:
        async with self._pool.open() as statements:
            return await after(statements, job_id, seq, limit)

    async def heads(self, job_ids: Collection[UUID]) -> Mapping[UUID, int]:
        async with self._pool.open() as statements:
            return {row[0]: row[1] for row in await statements.rows(_HEADS, {"job_ids": list(job_ids)})}
