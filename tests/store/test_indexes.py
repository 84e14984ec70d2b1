"""No statement that runs often has to read a whole table, however many rows there are."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from uuid_utils.compat import uuid7

from app.store import attempts, idempotency, users
from app.store.base import Base
from app.store.database import open_engine
from app.store.migrate import MIGRATIONS  # noqa: F401 - declares all tables

LIMIT = timedelta(minutes=5)


def leading(table: Table) -> set[str]:
    """The columns by which rows of a table are found."""
    keys = [table.primary_key, *table.indexes]
    keys += [each for each in table.constraints if type(each).__name__ == "UniqueConstraint"]  # type: ignore[misc]
    return {next(iter(key.columns)).name for key in keys if len(key.columns)}


def test_every_foreign_key_has_an_index() -> None:
    """PostgreSQL looks for the rows behind it whenever the one it names is deleted."""
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
    "sessions": lambda session: users.forget_expired_sessions(session, uuid7()),
    "tickets of sockets": users.forget_expired_tickets,
    "attempts": attempts.forget_old,
    "keys": idempotency.forget_old,
}
"""What is done in passing, whenever somebody logs in, opens a socket or makes a job."""


@pytest.mark.parametrize("name", SWEEPS)
async def test_what_is_swept_in_passing_is_found_by_an_index(engine: AsyncEngine, name: str) -> None:
    said: list[tuple[str, Any]] = []
    async with AsyncSession(engine) as session:
        hear = event.listens_for(engine.sync_engine, "before_cursor_execute")
        hear(lambda _, __, statement, values, *___: said.append((statement, values)))
        await SWEEPS[name](session)
        heard = [each for each in said if each[0].startswith("DELETE")]
        assert heard
        connection = await session.connection()
        # A table without rows is read as a whole if that is possible at all: so it must be told apart.
        await connection.execute(text("set local enable_seqscan = off"))
        for statement, values in heard:
            plan = await connection.exec_driver_sql(f"explain {statement}", values)
            assert "Seq Scan" not in "\n".join(plan.scalars())
