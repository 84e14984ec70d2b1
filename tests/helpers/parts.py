"""The real PostgreSQL and Valkey of a test process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.engine import make_url

from app.embedded import stack as embedded
from app.store.database import each_by_itself, open_engine
from app.store.migrate import migrate


@dataclass(frozen=True)
class Parts:
    """The addresses of this test process's PostgreSQL and Valkey. `template` is a migrated, empty
    database."""

    database_url: str
    redis_url: str
    template: str


@contextmanager
def open_parts(folder: Path) -> Iterator[Parts]:
    """Start a PostgreSQL and a Valkey on free ports, with a migrated database to copy from. Must be called
    outside of an event loop."""
    stack = embedded.start(folder, durable=False)
    try:
        name = "template_boardroom"
        asyncio.run(_make_template(stack.database_url, name))
        yield Parts(stack.database_url, stack.redis_url, name)
    finally:
        stack.stop()


async def _make_template(url: str, name: str) -> None:
    await _admin(url, f"create database {name}")
    await migrate(make_url(url).set(database=name).render_as_string(hide_password=False))


async def _admin(url: str, statement: str) -> None:
    engine = open_engine(url)
    try:
        async with each_by_itself(engine).connect() as connection:
            await connection.execute(text(statement))
    finally:
        await engine.dispose()


@asynccontextmanager
async def fresh_database(parts: Parts) -> AsyncIterator[str]:
    """The address of a migrated, empty database."""
    name = f"test_{uuid4().hex}"
    await _admin(parts.database_url, f"create database {name} template {parts.template}")
    yield make_url(parts.database_url).set(database=name).render_as_string(hide_password=False)
    await _admin(parts.database_url, f"drop database {name} with (force)")
