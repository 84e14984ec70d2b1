"""The way to PostgreSQL: engines, read-only reads, and what its absence looks like."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import orjson
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from app.domain.errors import Unavailable


class DatabaseUnavailable(Unavailable):
    """PostgreSQL does not answer: every call is 503 until it does."""

    def __init__(self) -> None:
        super().__init__(
            "The database is not reachable right now. Try again in a moment.", code="database_down"
        )


def async_url(url: str) -> str:
    """`url` with the asyncpg driver, whichever spelling of PostgreSQL it came with."""
    return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def open_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine whose connections are tried before use, so that a restarted PostgreSQL heals by itself."""
    return create_async_engine(
        async_url(url),
        pool_size=pool_size,
        max_overflow=10,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text goes to the log; prompts and hashes do not
        connect_args={"timeout": 3, "command_timeout": 30, "server_settings": {"timezone": "UTC"}},
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )


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


class Reads:
    """Connections for answers of one statement each: no BEGIN and no ROLLBACK around them, which cost more
    than most answers do, and read-only by PostgreSQL's own word all the same."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self._engine = create_async_engine(
            async_url(url),
            isolation_level="AUTOCOMMIT",
            pool_size=pool_size,
            max_overflow=10,
            pool_timeout=5,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "timeout": 3,
                "command_timeout": 30,
                "server_settings": {"timezone": "UTC", "default_transaction_read_only": "on"},
            },
        )

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[AsyncConnection]:
        """Each statement sees a snapshot of its own. DatabaseUnavailable."""
        async with absence_is_unavailable(), self._engine.connect() as connection:
            yield connection

    async def close(self) -> None:
        await self._engine.dispose()
