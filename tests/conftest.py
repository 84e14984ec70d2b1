"""Fixtures for all tests: a real PostgreSQL and Valkey, one of each per test process."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from blockbuster import BlockBuster
from sqlalchemy import text
from sqlalchemy.engine import make_url
from xdist.remote import Producer

from app.embedded import stack as embedded
from app.store.database import each_by_itself, open_engine
from app.store.migrate import migrate
from tests.house import House, open_house
from tests.together import Together

# Services under test use local boxes even if there is a container engine: containers have tests of their own.
os.environ.setdefault("WORKSPACE_RUNTIME", "local")

MAY_BLOCK = (
    ("asyncpg/connect_utils.py", "_parse_connect_dsn_and_args"),  # looks for files in the home folder
    ("linecache.py", "checkcache"),  # a traceback is being logged
    ("linecache.py", "updatecache"),
    ("rich/traceback.py", "extract"),
    ("rich/traceback.py", "_render_stack"),
    ("app/runtime/docker/find.py", "find_engine"),  # once, before anything is served
    ("workers/llm/provider.py", "open_openai"),  # reads the certificates, once, before a worker claims a run
    ("workers/llm/claude.py", "open_anthropic"),
    ("app/runtime/packing.py", "guest_modules"),  # once, it reads about 100 KB
    ("app/runtime/packing.py", "guest_boot"),
    ("app/store/migrate.py", "_upgrade"),  # Alembic reads its files, while nothing else runs
)
"""Where blocking calls are known and harmless: (end of the file's path, function)."""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    return Together(config, log)


@dataclass(frozen=True)
class Parts:
    """The addresses of this test process's PostgreSQL and Valkey. `template` is a migrated, empty
    database."""

    database_url: str
    redis_url: str
    template: str


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with open_parts(tmp_path_factory.mktemp("stack")) as opened:
        yield opened


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


@pytest.fixture
async def database_url(parts: Parts) -> AsyncIterator[str]:
    """The address of a new, migrated database for this test."""
    async with fresh_database(parts) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(parts: Parts) -> str:
    return parts.redis_url


@pytest.fixture(scope="session")
def blockbuster() -> BlockBuster:
    made = BlockBuster(["app", "workers"])
    for function in made.functions.values():
        for file, name in MAY_BLOCK:
            function.can_block_in(file, name)
    return made


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest, blockbuster: BlockBuster) -> Iterator[None]:
    """Make a test fail if our code blocks the event loop, unless it is marked `may_block`."""
    if request.node.get_closest_marker("may_block"):
        yield
        return
    blockbuster.activate()
    yield
    blockbuster.deactivate()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def house(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """The inside of the service, without HTTP, on a database of this test."""
    async with open_house(database_url, redis_url, tmp_path / "boxes") as opened:
        yield opened
