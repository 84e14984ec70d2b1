"""Whose data have to be looked at when their box sleeps: a copy is made if they have changed."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.store.tables import AppMaking, DataLook, GoingLive, Job

EVERY = timedelta(hours=1)
"""How often the data of a job are looked at, at most."""

AT_A_TIME = 5
"""How many are looked at before the worker does other things. The others wait a minute."""

_DUE = and_(
    DataLook.seen_at.is_not(None),
    or_(DataLook.looked_at.is_(None), DataLook.looked_at < func.clock_timestamp() - EVERY),
)


async def seen_awake(session: AsyncSession, job_ids: Collection[UUID]) -> None:
    """These jobs' apps may have changed their data."""
    if not job_ids:
        return
    # In one order, so that two processes do not wait for each other.
    jobs = select(Job.id, func.clock_timestamp()).where(Job.id.in_(job_ids)).order_by(Job.id)
    seen = insert(DataLook).from_select(["job_id", "seen_at"], jobs)
    await session.execute(
        seen.on_conflict_do_update(index_elements=[DataLook.job_id], set_={"seen_at": seen.excluded.seen_at})
    )


async def due(session: AsyncSession) -> Sequence[UUID]:
    """Some jobs whose data have to be looked at, those that wait longest first. An app that is just being
    changed, or whose box is half-made, is not among them."""
    found = await session.scalars(
        select(DataLook.job_id)
        .where(
            _DUE,
            DataLook.job_id.not_in(select(GoingLive.job_id)),
            DataLook.job_id.not_in(select(AppMaking.job_id)),
        )
        .order_by(DataLook.seen_at)
        .limit(AT_A_TIME)
    )
    return list(found)


async def begin(session: AsyncSession, job_id: UUID) -> datetime | None:
    """Begin to look at a job's data, so that nobody else does. Returns when its box was last seen awake; None
    if somebody else has begun."""
    seen_at: datetime | None = await session.scalar(
        update(DataLook)
        .where(DataLook.job_id == job_id, _DUE)
        .values(looked_at=func.clock_timestamp())
        .returning(DataLook.seen_at)
    )
    return seen_at


async def done(session: AsyncSession, job_id: UUID, seen_at: datetime) -> None:
    """What the data were after `seen_at` is stored, or cannot be."""
    await session.execute(
        update(DataLook).where(DataLook.job_id == job_id, DataLook.seen_at == seen_at).values(seen_at=None)
    )


async def put_off(session: AsyncSession, job_id: UUID) -> None:
    """It could not be looked at now: as soon as it can."""
    await session.execute(update(DataLook).where(DataLook.job_id == job_id).values(looked_at=None))
