"""Statements that SQLAlchemy has written once and asyncpg sends by itself: for what a run does at every step,
what clients read, and what a login does.

Through an SQLAlchemy engine such a statement takes six times as long (decision 26).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import ClauseElement
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.compiler import SQLCompiler

from app.database_url import parse
from app.store.connecting import connect
from app.store.database import DIALECT, IDLE_S, PLACE_S, absence_is_unavailable, has_unread

CONNECTIONS = 10
"""The most connections of one pool."""

CLOSE_S = 3


class Statement:
    """A statement whose parameters are bound by name and typed. It is compiled on first use, so that a
    process starts sooner."""

    def __init__(self, written: ClauseElement) -> None:
        self._clause = written

    @cached_property
    def _compiled(self) -> SQLCompiler:
        compiled = self._clause.compile(dialect=DIALECT)
        assert isinstance(compiled, SQLCompiler)
        return compiled

    @cached_property
    def sql(self) -> str:
        return self._compiled.string

    @cached_property
    def _names(self) -> Sequence[str]:
        return self._compiled.positiontup or []

    @cached_property
    def _written(self) -> Mapping[str, Any]:
        return {name: value for name, value in self._compiled.params.items() if value is not None}

    def values(self, named: Mapping[str, Any]) -> list[Any]:
        """The parameters in the order in which asyncpg expects them."""
        given = {**self._written, **named}
        return [given[name] for name in self._names]


class Statements:
    """Sends statements over one connection. Each commits by itself, unless the connection is that of a
    session (see `within`)."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    async def row(self, statement: Statement, named: Mapping[str, Any]) -> asyncpg.Record | None:
        """The first row of the result, or None."""
        found: asyncpg.Record | None = await self._driver.fetchrow(statement.sql, *statement.values(named))
        return found

    async def rows(self, statement: Statement, named: Mapping[str, Any]) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await self._driver.fetch(statement.sql, *statement.values(named))
        return found

    async def each(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run the statement once for each row of parameters."""
        await self._driver.executemany(statement.sql, [statement.values(named) for named in rows])


async def within(session: AsyncSession) -> Statements:
    """Statements inside the transaction of a session, over its connection."""
    raw = await (await session.connection()).get_raw_connection()
    return Statements(raw.driver_connection)


class StatementPool:
    """Connections for statements that commit by themselves."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Statements]:
        """Statements over a free connection. Raises DatabaseUnavailable."""
        async with absence_is_unavailable():
            driver = await self._living()
            try:
                yield Statements(driver)
            finally:
                await self._pool.release(driver)

    async def _living(self) -> "PoolConnectionProxy[asyncpg.Record]":
        async with asyncio.timeout(PLACE_S):
            while True:
                driver: PoolConnectionProxy[asyncpg.Record] = await self._pool.acquire()
                if not has_unread(driver):
                    return driver
                driver.terminate()


@asynccontextmanager
async def open_statements(url: str, *, read_only: bool = False) -> AsyncIterator[StatementPool]:
    """A pool, which connects on first use. With `read_only` PostgreSQL refuses every write."""
    address = parse(url)

    async def open_one(_: str | None, **more: Any) -> "asyncpg.Connection[asyncpg.Record]":
        return await connect(address, **more)

    pool: asyncpg.Pool[asyncpg.Record] = await asyncpg.create_pool(  # type: ignore[call-overload]
        connect=open_one,
        init=_only_reads if read_only else None,
        min_size=0,
        max_size=CONNECTIONS,
        max_inactive_connection_lifetime=IDLE_S,  # one that was idle for longer may be dead in silence
        reset=_nothing_to_reset,
    )
    try:
        yield StatementPool(pool)
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(pool.close(), CLOSE_S)  # what has not ended by then is cut off


async def _only_reads(connection: Any) -> None:
    """Not said at the start of the connection: PgBouncer refuses settings there that it does not know."""
    await connection.execute("set default_transaction_read_only = on")


async def _nothing_to_reset(_: object) -> None:
    """Replaces asyncpg's reset of a connection: a statement that commits by itself leaves nothing to
    reset."""
