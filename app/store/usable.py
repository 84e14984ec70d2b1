"""Whether we can work on the PostgreSQL of DATABASE_URL: asked once at a start, to refuse it in words."""

import asyncio
from contextlib import suppress

import asyncpg

from app.database_url import Address, parse, where
from app.store.connecting import Connection, connect
from app.store.database import is_absence

OLDEST = 15
CLOSE_S = WAIT_S = 1.0
ROUNDS = 4
"""How often two sessions are compared. A pooler gives most often the connection that was used last."""

_CURES = {
    "28P01": "Check the password in DATABASE_URL.",
    "28000": "Check user and TLS (`sslmode`) in DATABASE_URL.",
    "3D000": "Make the database, or name another in DATABASE_URL.",
}
_TRANSACTION_POOLER = (
    "is a connection pooler in transaction mode (PgBouncer, or a hosted one), in which every transaction may "
    "run on another connection. Prepared statements and settings of a session get lost there. Give the "
    "address of PostgreSQL itself, or of a pooler in session mode; Boardroom keeps pools of its own."
)


class UnusableDatabase(Exception):
    """The database of DATABASE_URL cannot be used; the message says why. `away`: it may be later."""

    def __init__(self, words: str, *, away: bool = False) -> None:
        super().__init__(words)
        self.away = away


async def require_usable_if_there(url: str) -> None:
    """Like `require_usable`, for processes that wait for a database that is away."""
    try:
        await require_usable(url)
    except UnusableDatabase as problem:
        if not problem.away:
            raise


async def require_usable(url: str) -> None:
    """Connect once. Raises UnusableDatabase. Takes some milliseconds, behind a pooler some more."""
    address = parse(url)
    try:
        first = await connect(address, statement_cache_size=0)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _in_words(url, error) from error
    try:
        major = first.get_server_version().major
        if major < OLDEST:
            raise UnusableDatabase(f"PostgreSQL {major} at {where(url)} is too old: {OLDEST} is needed.")
        # A pooler tells its clients numbers of its own as those of their servers.
        if await _server(first) != first.get_server_pid() and await _changes_servers(address, first):
            raise UnusableDatabase(f"{where(url)} {_TRANSACTION_POOLER}")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _in_words(url, error) from error
    finally:
        await _end(first)


async def _server(connection: Connection) -> int:
    """The process that serves this session right now."""
    async with connection.transaction():
        return int(await connection.fetchval("select pg_backend_pid()"))


async def _changes_servers(address: Address, first: Connection) -> bool:
    """Whether two sessions are served by the same process, or one by several."""
    second = await connect(address, statement_cache_size=0)
    try:
        async with asyncio.timeout(WAIT_S):
            await _server(second)
    except TimeoutError:
        await _end(second)
        raise UnusableDatabase("The pooler of DATABASE_URL lets us have one connection only.") from None
    try:
        seen: tuple[set[int], set[int]] = (set(), set())
        for _ in range(ROUNDS):
            seen[0].add(await _server(first))
            async with second.transaction():  # holds its process, so that the first needs another
                seen[1].add(int(await second.fetchval("select pg_backend_pid()")))
                async with asyncio.timeout(WAIT_S):
                    seen[0].add(await _server(first))
    except TimeoutError:
        return True  # there is one process for both
    finally:
        await _end(second)
    return len(seen[0]) > 1 or len(seen[1]) > 1 or bool(seen[0] & seen[1])


async def _end(connection: Connection) -> None:
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        await connection.close(timeout=CLOSE_S)


def _in_words(url: str, error: Exception) -> UnusableDatabase:
    said = "it does not answer in time" if isinstance(error, TimeoutError) else str(error)
    cure = _CURES.get(str(getattr(error, "sqlstate", "")), "Check DATABASE_URL and that server.")
    return UnusableDatabase(
        f"PostgreSQL at {where(url)} cannot be used: {said.rstrip('.') or type(error).__name__}. {cure}",
        away=is_absence(error) and not isinstance(error, asyncpg.ClientConfigurationError),
    )
