"""The way to PostgreSQL: engines, read-only reads, and what its absence looks like."""

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import asyncpg
import orjson
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from app.domain.errors import Unavailable


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer: every call is 503 until it does."""

    def __init__(self) -> None:
        super().__init__(
            "The database is not reachable right now. Try again in a moment.", code="database_down"
        )


DIALECT = make_url("postgresql+asyncpg://").get_dialect()()


def async_url(url: str) -> str:
    """`url` with the asyncpg driver, whichever spelling of PostgreSQL it came with."""
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def parts_of(url: str) -> dict[str, Any]:
    """`url` as arguments of `asyncpg.connect`, read as an engine reads it."""
    _, parts = DIALECT.create_connect_args(make_url(async_url(url)))
    return dict(parts)


STATEMENT_S = 10.0
"""A statement that takes longer has met a PostgreSQL that hangs; ours take milliseconds."""

IDLE_S = 30.0
"""A connection that was idle for longer is asked whether it still works before it is used."""


CONNECTIONS = 20
"""The most a process opens for units. They stay open: making one takes longer than what it is made for."""

PLACE_S = 5
"""So long one waits for a free connection."""

CONNECT_ARGS: dict[str, Any] = {
    "timeout": 3,
    "command_timeout": STATEMENT_S,
    "server_settings": {"timezone": "UTC"},
}


def open_engine(url: str) -> AsyncEngine:
    """An engine that replaces connections that have died, so that a restarted PostgreSQL heals by itself."""
    engine = create_async_engine(
        async_url(url),
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=PLACE_S,
        pool_use_lifo=True,  # the warm ones first: their statements are prepared
        hide_parameters=True,  # an error's text goes to the log; prompts and hashes do not
        connect_args=CONNECT_ARGS,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )
    _replace_dead_connections(engine)
    return engine


def _replace_dead_connections(engine: AsyncEngine) -> None:
    """What `pool_pre_ping` is for, without its three round trips a use: whether a connection has ended is
    known here, or lies unread at its socket; only one that was idle for long may be dead in silence."""

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
    """Whether PostgreSQL said something without being asked, as it does when it goes."""
    poll = select.poll()
    poll.register(driver._transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _answers(engine: AsyncEngine, connection: DBAPIConnection) -> bool:
    try:
        return engine.dialect.do_ping(connection)
    except (engine.dialect.loaded_dbapi.Error, OSError):
        return False


_AWAY = ("08", "57P0", "53300")
"""SQLSTATE prefixes of "not now": connection exceptions, shutdown or recovery, too many connections."""


def is_absence(error: BaseException) -> bool:
    """Whether `error` means that the database is away, and not that a statement was wrong."""
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
    """Turn the many faces of an absent PostgreSQL into DatabaseUnavailable."""
    try:
        yield
    except (DBAPIError, OSError, PoolTimeout, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if is_absence(error):
            raise DatabaseUnavailable from error
        raise


@asynccontextmanager
async def read(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection for reads, read-only and of one snapshot by PostgreSQL's own word."""
    async with absence_is_unavailable(), engine.connect() as connection:
        await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        yield connection


@asynccontextmanager
async def look(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """`read` for rows as instances, which stay readable afterwards."""
    async with read(engine) as connection, AsyncSession(connection, expire_on_commit=False) as session:
        yield session


def each_by_itself(engine: AsyncEngine) -> AsyncEngine:
    """`engine` with statements that commit by themselves, without BEGIN and COMMIT around what one reads or
    does. To be made once."""
    return engine.execution_options(isolation_level="AUTOCOMMIT")


@asynccontextmanager
async def glance(each: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """`look` for one statement, which is a snapshot by itself; on `each_by_itself`."""
    async with (
        absence_is_unavailable(),
        AsyncSession(each, expire_on_commit=False, autoflush=False) as session,
    ):
        yield session
