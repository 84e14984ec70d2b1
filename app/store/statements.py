"""Statements that SQLAlchemy has written once and asyncpg sends by itself: what a run does at every step.

On the way through an engine such a statement takes six times as long, for nothing that it needs.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import ClauseElement
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
    """`written`, ready to be sent; its parameters are all bound by name and typed."""

    def __init__(self, written: ClauseElement) -> None:
        compiled = written.compile(dialect=DIALECT)
        assert isinstance(compiled, SQLCompiler)
        self.sql = compiled.string
        self._names = compiled.positiontup or []

    def values(self, named: Mapping[str, Any]) -> list[Any]:
        """The parameters as asyncpg counts them."""
        return [named[name] for name in self._names]


class Connection:
    """One on which each statement commits by itself."""

    def __init__(self, driver: "PoolConnectionProxy[asyncpg.Record]") -> None:
        self._driver = driver

    async def row(self, statement: Statement, named: Mapping[str, Any]) -> asyncpg.Record | None:
        """The first row of the result."""
        return await self._driver.fetchrow(statement.sql, *statement.values(named))

    async def rows(self, statement: Statement, named: Mapping[str, Any]) -> list[asyncpg.Record]:
        return await self._driver.fetch(statement.sql, *statement.values(named))


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
async def open_statements(url: str) -> AsyncIterator[Statements]:
    """Nothing is connected before the first statement."""
    pool = await asyncpg.create_pool(
        **parts_of(url),
        **CONNECT_ARGS,
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
