"""Counters of attempts in fixed windows, shared by all processes."""

from datetime import timedelta

from sqlalchemy import Interval, bindparam, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.store.tables import Attempts

SWEEP = 100
"""At most so many outdated counters go in passing."""


_NOW = func.clock_timestamp()
_OVER = Attempts.window_ends <= _NOW
_NEW = insert(Attempts).values(
    key=bindparam("key"), window_ends=_NOW + bindparam("window", type_=Interval), count=1
)
_COUNT = _NEW.on_conflict_do_update(
    index_elements=[Attempts.key],
    set_={
        "count": case((_OVER, 1), else_=Attempts.count + 1),
        "window_ends": case((_OVER, _NEW.excluded.window_ends), else_=Attempts.window_ends),
    },
).returning(Attempts.count, Attempts.window_ends, _NOW)


async def count(session: AsyncSession, key: str, window: timedelta) -> tuple[int, timedelta]:
    """Count one attempt under `key`; how many the window has now, and how long it still lasts."""
    number, ends, moment = (await session.execute(_COUNT, {"key": key, "window": window})).one()
    return number, ends - moment


async def give_back(session: AsyncSession, key: str) -> None:
    """Uncount one attempt: it turned out to be in order."""
    query = update(Attempts).where(Attempts.key == key, Attempts.count > 0).values(count=Attempts.count - 1)
    await session.execute(query)


async def forget_old(session: AsyncSession) -> None:
    """Drop counters whose window is over."""
    # Not the wall clock: what may change within a statement is no way into an index.
    old = select(Attempts.key).where(Attempts.window_ends < func.now()).order_by(Attempts.window_ends)
    old = old.limit(SWEEP).with_for_update(skip_locked=True)
    await session.execute(delete(Attempts).where(Attempts.key.in_(old)))
