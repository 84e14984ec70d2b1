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

from app.store.database import (
    CONNECT_ARGS,
    DIALECT,
    IDLE_S,
    PLACE_S,
    absence_is_unavailable,
    has_unread,
    parts_of,
)

CONNECTIONS = 10
"""The most a process opens for them."""

CLOSE_S = 3


class Statement:
    """`written`, to be sent; its parameters are all bound by name and typed. What is a value already stays
    what it is. It is compiled when it is first used: a process that starts need not wait for all of them."""

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
        """The parameters as asyncpg counts them."""
        given = {**self._written, **named}
        return [given[name] for name in self._names]


class Connection:
    """One on which each statement commits by itself, unless it is a session's (`within`)."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    async def row(self, statement: Statement, named: Mapping[str, Any]) -> asyncpg.Record | None:
        """The first row of the result."""
        found: asyncpg.Record | None = await self._driver.fetchrow(statement.sql, *statement.values(named))
        return found

    async def rows(self, statement: Statement, named: Mapping[str, Any]) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await self._driver.fetch(statement.sql, *statement.values(named))
        return found

    async def each(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Once for each row of parameters."""
        await self._driver.executemany(statement.sql, [statement.values(named) for named in rows])


async def within(session: AsyncSession) -> Connection:
    """The session's own connection, in its transaction."""
    raw = await (await session.connection()).get_raw_connection()
    return Connection(raw.driver_connection)


class Statements:
    """Where such connections come from."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """DatabaseUnavailable."""
        async with absence_is_unavailable():
            driver = await self._living()
            try:
                yield Connection(driver)
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
async def open_statements(url: str, *, read_only: bool = False) -> AsyncIterator[Statements]:
    """Nothing is connected before the first statement. What is `read_only` is so by PostgreSQL's own word."""
    settings = {**CONNECT_ARGS["server_settings"], "default_transaction_read_only": str(read_only).lower()}
    pool = await asyncpg.create_pool(
        **parts_of(url),
        **{**CONNECT_ARGS, "server_settings": settings},
        min_size=0,
        max_size=CONNECTIONS,
        max_inactive_connection_lifetime=IDLE_S,  # one that was idle for longer may be dead in silence
        reset=_nothing_to_reset,
    )
    try:
        yield Statements(pool)
    finally:
        with suppress(TimeoutError):
            await asyncio.wait_for(pool.close(), CLOSE_S)  # what has not ended by then is cut off


async def _nothing_to_reset(_: object) -> None:
    """A statement that commits by itself leaves nothing behind."""
