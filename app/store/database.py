"""Connections to PostgreSQL: the engine, read-only transactions, and how an unreachable database is
recognised."""

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from time import monotonic
from typing import Any

import asyncpg
import orjson
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from app.database_url import parse
from app.domain.errors import Unavailable
from app.store.connecting import connect, socket_of


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer. Calls are answered with 503 until it does."""

    def __init__(self) -> None:
        super().__init__(
            "The database is not reachable right now. Try again in a moment.", code="database_down"
        )


class DatabaseFull(Unavailable):
    """PostgreSQL answers, but its disk is full. What has to be stored is answered with 503 until there is
    room."""

    def __init__(self) -> None:
        super().__init__(
            "The database's disk is full, so nothing can be stored. The operator has to make room.",
            code="database_full",
            retry_after=FULL_S,
        )


FULL_S = 30
"""Seconds after which it is worth trying again with a full disk: people have to make room first."""

DRIVER = "postgresql+asyncpg://"
"""SQLAlchemy is told the dialect only. `connect` reads the address."""

DIALECT = make_url(DRIVER).get_dialect()()

IDLE_S = 30.0
"""A connection that was idle for more seconds is tested before it is used."""


CONNECTIONS = 20
"""The most connections that a process opens for units. They stay open: opening one takes longer than a
unit."""

PLACE_S = 5
"""Seconds that one waits for a free connection."""


def open_engine(url: str) -> AsyncEngine:
    """An engine that replaces connections that have died, so that a restarted PostgreSQL heals by itself.
    Raises BadDatabaseUrl."""
    engine = create_async_engine(
        DRIVER,
        async_creator=partial(connect, parse(url)),
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=PLACE_S,
        pool_use_lifo=True,  # the last used first: its statements are prepared
        hide_parameters=True,  # error texts go to the log, prompts and hashes must not
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )
    _replace_dead_connections(engine)
    return engine


def _replace_dead_connections(engine: AsyncEngine) -> None:
    """Like `pool_pre_ping`, but without its round trips for every use. That a connection has ended is known
    to the driver, or can be seen at its socket. Only one that was idle for long may be dead without a sign,
    and is tested."""

    @event.listens_for(engine.sync_engine, "checkin")
    def note(_: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        record.info["used"] = monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def look(connection: DBAPIConnection, record: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
        idle_s = monotonic() - record.info.get("used", monotonic())
        driver = connection.driver_connection
        doubtful = driver.is_closed() or idle_s > IDLE_S or has_unread(driver)
        if doubtful and not _answers(engine, connection):
            raise DisconnectionError


def has_unread(driver: Any) -> bool:
    """Whether PostgreSQL has sent something without being asked, as it does when it stops."""
    poll = select.poll()
    poll.register(socket_of(driver).fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _answers(engine: AsyncEngine, connection: DBAPIConnection) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except (engine.dialect.loaded_dbapi.Error, OSError):
        return False


_AWAY = ("08", "57P0", "53300")
"""Prefixes of SQLSTATE that mean "try again later": connection lost, shutdown or recovery, too many
connections."""


_FULL = "53100"
"""SQLSTATE `disk_full`."""


def is_full(error: BaseException) -> bool:
    """Whether `error` means that PostgreSQL has no room on its disk."""
    if isinstance(error, DBAPIError):
        return error.orig is not None and is_full(error.orig)
    return getattr(error, "sqlstate", None) == _FULL


def is_absence(error: BaseException) -> bool:
    """Whether `error` means that the database is unreachable, and not that a statement was wrong."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        return error.orig is not None and is_absence(error.orig)
    if isinstance(error, OSError | PoolTimeout | asyncpg.InterfaceError):
        return True
    state = getattr(error, "sqlstate", None)
    return state is not None and str(state).startswith(_AWAY)


@asynccontextmanager
async def absence_is_unavailable() -> AsyncIterator[None]:
    """Turn all errors of an unreachable PostgreSQL into DatabaseUnavailable, and those of one without room
    into DatabaseFull."""
    try:
        yield
    except (DBAPIError, OSError, PoolTimeout, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if is_full(error):
            raise DatabaseFull from error
        if is_absence(error):
            raise DatabaseUnavailable from error
        raise


@asynccontextmanager
async def look(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """A read-only transaction on one snapshot. Its instances can be used afterwards."""
    async with absence_is_unavailable(), engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        async with AsyncSession(connection, expire_on_commit=False) as session:
            yield session


def each_by_itself(engine: AsyncEngine) -> AsyncEngine:
    """The engine with statements that commit by themselves, without BEGIN and COMMIT. Call it once per
    engine."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@asynccontextmanager
async def glance(each: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """Like `look`, for a single statement, without a transaction. `each` comes from `each_by_itself`."""
    async with (
        absence_is_unavailable(),
        AsyncSession(each, expire_on_commit=False, autoflush=False) as session,
    ):
        yield session


_ROOM = text(
    "with filler as materialized (select repeat('x', 8000) as row from generate_series(1, 128))"
    " select max(length(row)) from filler"
)
"""One MB, which PostgreSQL writes to a temporary file, since it may keep 64 kB only in memory."""


async def require_room(engine: AsyncEngine) -> None:
    """Have PostgreSQL write to its disk. Raises DatabaseFull, DatabaseUnavailable. A row that is written
    would say nothing: there may be room in the table's last page, and in the log that is there already."""
    async with look(engine) as session:
        await session.execute(text("set local work_mem = '64kB'"))
        await session.execute(_ROOM)
