"""Counters of attempts in fixed windows, shared by all processes."""

from datetime import timedelta

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.store.tables import Attempts

SWEEP = 100
"""At most so many outdated counters go in passing."""


async def count(session: AsyncSession, key: str, window: timedelta) -> tuple[int, timedelta]:
    """Count one attempt under `key`; how many the window has now, and how long it still lasts."""
    now = func.clock_timestamp()
    over = Attempts.window_ends <= now
    query = insert(Attempts).values(key=key, window_ends=now + window, count=1)
    query = query.on_conflict_do_update(
        index_elements=[Attempts.key],
        set_={
            "count": case((over, 1), else_=Attempts.count + 1),
            "window_ends": case((over, query.excluded.window_ends), else_=Attempts.window_ends),
        },
    )
    row = (await session.execute(query.returning(Attempts.count, Attempts.window_ends, now))).one()
    await _forget_old(session)
    number, ends, moment = row
    return number, ends - moment


async def give_back(session: AsyncSession, key: str) -> None:
    """Uncount one attempt: it turned out to be in order."""
    query = update(Attempts).where(Attempts.key == key, Attempts.count > 0).values(count=Attempts.count - 1)
    await session.execute(query)


async def _forget_old(session: AsyncSession) -> None:
    # Not the wall clock: what may change within a statement is no way into an index.
    old = select(Attempts.key).where(Attempts.window_ends < func.now()).order_by(Attempts.window_ends)
    old = old.limit(SWEEP).with_for_update(skip_locked=True)
    await session.execute(delete(Attempts).where(Attempts.key.in_(old)))
