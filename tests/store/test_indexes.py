"""No frequent statement has to read a whole table, even if there are many rows."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Index, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from uuid_utils.compat import uuid7

from app.store import attempts, idempotency, users
from app.store.database import open_engine
from app.store.statements import within
from app.store.tables import Base, User

LIMIT = timedelta(minutes=5)


def leading(table: Table) -> set[str]:
    """The columns by which an index finds the rows of a table."""
    unique = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
    keys: list[PrimaryKeyConstraint | UniqueConstraint | Index] = [table.primary_key, *table.indexes, *unique]
    return {next(iter(key.columns)).name for key in keys if len(key.columns)}


def test_every_foreign_key_has_an_index() -> None:
    """When a row is deleted, PostgreSQL looks for all rows that refer to it."""
    bare = [
        f"{table.name}.{key.parent.name}"
        for table in Base.metadata.sorted_tables
        for key in table.foreign_keys
        if key.parent.name not in leading(table)
    ]
    assert bare == []


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(database_url)
    yield engine
    await engine.dispose()


SWEEPS: dict[str, Callable[[AsyncSession], Awaitable[Any]]] = {
    "sessions": lambda session: _begin_session(session),
    "tickets of sockets": users.forget_expired_tickets,
    "attempts": lambda session: _forget_attempts(session),
    "keys": idempotency.forget_old,
}
"""Clean-up statements that run with each login, new socket or new job."""


async def _begin_session(session: AsyncSession) -> None:
    await users.begin_session(await within(session), User(id=uuid7(), password_hash=""), LIMIT)


async def _forget_attempts(session: AsyncSession) -> None:
    await attempts.forget_old(await within(session))


@pytest.mark.parametrize("name", SWEEPS)
async def test_clean_up_statements_use_an_index(engine: AsyncEngine, name: str) -> None:
    plans: list[str] = []
    async with AsyncSession(engine) as session:
        driver = (await (await session.connection()).get_raw_connection()).driver_connection
        assert driver is not None
        # PostgreSQL reports the plan of each statement. It prefers to read an empty table as a whole, so that
        # is switched off: then it does so only if there is no index.
        await driver.execute(
            "load 'auto_explain'; set auto_explain.log_min_duration = 0;"
            " set client_min_messages = log; set enable_seqscan = off"
        )
        driver.add_log_listener(lambda _, message: plans.append(message.message))
        await SWEEPS[name](session)
        await driver.execute("select")  # all earlier notices have arrived when this is answered
    sweeps = [plan for plan in plans if "Delete on" in plan]
    assert sweeps
    assert not [plan for plan in sweeps if "Seq Scan" in plan]
