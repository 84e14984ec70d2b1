"""Migrations: bring the database to the present tables."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.store.database import async_url

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
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
    """Apply the missing migrations. Many processes may call this at the same time."""
    engine = create_async_engine(async_url(url), connect_args={"timeout": 5})
    try:
        async with engine.begin() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            await connection.run_sync(_upgrade)
    finally:
        await engine.dispose()
