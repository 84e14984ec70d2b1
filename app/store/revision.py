"""Whether the database has the present tables already, found out without loading what migrates it."""

from pathlib import Path

import asyncpg

from app.database_url import parse
from app.store.connecting import connect

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"


_NEWEST = max(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py")).partition("_")[0]
"""The revision of the newest migration: its file's name begins with it."""


async def is_newest(url: str) -> bool:
    """False also where it cannot be found out: whoever migrates then says why."""
    try:
        connection = await connect(parse(url))
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    try:
        found = await connection.fetch("select version_num from alembic_version")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    finally:
        connection.terminate()
    return [row["version_num"] for row in found] == [_NEWEST]
