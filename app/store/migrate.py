"""Migrations: bring the database to the present tables."""

from functools import partial

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.database_url import parse
from app.store.connecting import connect
from app.store.database import DRIVER
from app.store.revision import MIGRATIONS
from app.store.usable import require_usable

CONNECT_S = 5.0
_LOCK = 7_022_026
"""The advisory lock that lets one process migrate while others wait."""


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    command.upgrade(_config(connection), "head")


async def migrate(url: str) -> None:
    """Apply the missing migrations. Many processes may call this at the same time. Raises BadDatabaseUrl and
    UnusableDatabase."""
    await require_usable(url)
    create = partial(connect, parse(url), timeout_s=CONNECT_S, statement_s=None)
    engine = create_async_engine(DRIVER, async_creator=create)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()
