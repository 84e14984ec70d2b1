"""Fixtures: web processes on a real uvicorn, and WebSocket clients."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from uuid_utils.compat import uuid7

from app.actions import jobs
from app.auth.tokens import Tokens
from app.main import Boardroom
from app.resources import Resources
from app.settings import Settings
from app.store.tables import RefreshFamily, User
from tests.helpers.parts import Parts, fresh_database
from tests.helpers.serving import Server, serving

SECRET = "a secret for the tests of sockets, long enough"
TOKENS = Tokens(SECRET, access_s=600)
SETTINGS = {"secret_key": SECRET, "sweep_s": 0.2, "cors_origins": "https://listed.example"}


@dataclass
class Web:
    """One web process, as `app.main` makes it."""

    application: Boardroom
    port: int
    server: Server

    @property
    def resources(self) -> Resources:
        found: Resources = self.application.state.house.resources
        return found

    def url(self, job_id: object, query: str = "") -> str:
        return f"ws://127.0.0.1:{self.port}/ws/jobs/{job_id}/{query}"


@asynccontextmanager
async def open_web(data_dir: Path, **settings: Any) -> AsyncIterator[Web]:
    application = Boardroom(Settings(_env_file=None, data_dir=data_dir, **{**SETTINGS, **settings}))
    async with serving(application, graceful_s=2) as (server, port):
        yield Web(application, port, server)


@dataclass
class Person:
    """A user with a session."""

    id: UUID
    session_id: UUID
    access: str


async def add_person(resources: Resources, name: str = "Ada") -> Person:
    user_id, session_id = uuid7(), uuid7()
    async with resources.unit() as unit:
        unit.session.add(User(id=user_id, email=f"{user_id}@example.org", name=name, password_hash=""))
        await unit.session.flush()
        unit.session.add(RefreshFamily(id=session_id, user_id=user_id))
    return Person(user_id, session_id, TOKENS.access(user_id, session_id))


async def add_job(resources: Resources, person: Person) -> UUID:
    """A job in `collecting`; its only event is the idea."""
    made = await jobs.create_job(resources, person.id, "Ada", "A reading list.")
    return UUID(orjson.loads(made)["id"])


OpenWeb = Callable[..., AbstractAsyncContextManager[Web]]


@pytest.fixture(scope="session")
async def web(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Web]:
    """One web process for all tests of this package. Each test has its own user and job."""
    async with fresh_database(parts) as database_url:
        places = {"database_url": database_url, "redis_url": parts.redis_url}
        async with open_web(tmp_path_factory.mktemp("web"), **places) as web:
            yield web


@pytest.fixture
def start_web(web: Web, tmp_path: Path) -> OpenWeb:
    """Start another web process, by default with the same PostgreSQL and Redis."""
    beside = web.application.settings

    def start(**settings: Any) -> AbstractAsyncContextManager[Web]:
        places = {"database_url": beside.database_url, "redis_url": beside.redis_url}
        return open_web(tmp_path, **{**places, **settings})

    return start


@pytest.fixture
def database_url(web: Web) -> str:
    url: str = web.application.settings.database_url
    return url


@pytest.fixture
async def ada(web: Web) -> Person:
    return await add_person(web.resources)


@pytest.fixture
async def job_id(web: Web, ada: Person) -> UUID:
    return await add_job(web.resources, ada)
