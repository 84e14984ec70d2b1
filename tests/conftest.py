"""Fixtures for all tests: a real PostgreSQL and Valkey, one of each per test process."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from hypothesis import settings
from xdist.remote import Producer

from tests.helpers.house import House, open_house
from tests.helpers.parts import Parts, fresh_database, open_parts
from tests.together import Together

# Services under test use local boxes even if there is a container engine: containers have tests of their own.
os.environ.setdefault("WORKSPACE_RUNTIME", "local")

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("boardroom", deadline=None)
settings.load_profile("boardroom")

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


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Name a failure when it happens: a run that is ended by its time limit prints no summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        sys.stdout.write(f"\n{report.nodeid} failed ({report.when})\n")
        sys.stdout.flush()


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with open_parts(tmp_path_factory.mktemp("stack")) as opened:
        yield opened


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
