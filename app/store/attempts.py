"""Counters of attempts in fixed windows, shared by all processes. Each change is to commit by itself: refused
attempts count as well."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Interval, Text, bindparam, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.store.statements import Statement, Statements
from app.store.tables import Attempts

SWEEP = 100
"""The most outdated counters that one call deletes."""

_NOW = func.clock_timestamp()
_OVER = Attempts.window_ends <= _NOW
_NEW = insert(Attempts).values(
    key=bindparam("key"), window_ends=_NOW + bindparam("window", type_=Interval), count=1
)
_COUNT = Statement(
    _NEW.on_conflict_do_update(
        index_elements=[Attempts.key],
        set_={
            "count": case((_OVER, 1), else_=Attempts.count + 1),
            "window_ends": case((_OVER, _NEW.excluded.window_ends), else_=Attempts.window_ends),
        },
    ).returning(Attempts.count, Attempts.window_ends - _NOW)
)


async def count(statements: Statements, key: str, window: timedelta) -> tuple[int, timedelta]:
    """Count one attempt under `key`; returns how many the window has now, and how long it still lasts."""
    row = await statements.row(_COUNT, {"key": key, "window": window})
    assert row is not None
    return row[0], row[1]


_GIVE_BACK = Statement(
    update(Attempts)
    .where(Attempts.key == bindparam("of", type_=Text), Attempts.count > 0)
    .values(count=Attempts.count - 1)
)


async def give_back(statements: Statements, keys: Sequence[str]) -> None:
    """Uncount one attempt under each key, because it succeeded."""
    await statements.each(_GIVE_BACK, [{"of": key} for key in keys])


# Not the wall clock: what may change within a statement is no way into an index.
_OLD = select(Attempts.key).where(Attempts.window_ends < func.now()).order_by(Attempts.window_ends)
_FORGET_OLD = Statement(
    delete(Attempts).where(Attempts.key.in_(_OLD.limit(SWEEP).with_for_update(skip_locked=True)))
)


async def forget_old(statements: Statements) -> None:
    """Drop counters whose window is over."""
    await statements.row(_FORGET_OLD, {})
