"""Fixtures: web processes on a real uvicorn, and WebSocket clients."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
import uvicorn
from uuid_utils.compat import uuid7
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from app.actions import changes, jobs
from app.auth.tokens import Tokens
from app.main import Boardroom, server_config
from app.resources import Resources
from app.settings import Settings
from app.store.events import StoredLog
from app.store.tables import RefreshFamily, User
from tests.conftest import Parts, fresh_database

SECRET = "a secret for the tests of sockets, long enough"
TOKENS = Tokens(SECRET, access_s=600)
SETTINGS = {"secret_key": SECRET, "sweep_s": 0.2, "cors_origins": "https://listed.example"}


class _Server(uvicorn.Server):
    def capture_signals(self) -> Any:
        return nullcontext()


@dataclass
class Web:
    """One web process, as `app.main` makes it."""

    application: Boardroom
    port: int
    server: uvicorn.Server

    @property
    def resources(self) -> Resources:
        found: Resources = self.application.state.house.resources
        return found

    def url(self, job_id: object, query: str = "") -> str:
        return f"ws://127.0.0.1:{self.port}/ws/jobs/{job_id}/{query}"


@asynccontextmanager
async def open_web(data_dir: Path, **settings: Any) -> AsyncIterator[Web]:
    application = Boardroom(Settings(_env_file=None, data_dir=data_dir, **{**SETTINGS, **settings}))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = server_config(application, application.settings)
        config.timeout_graceful_shutdown = 2
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started or serving.done())
        try:
            yield Web(application, listener.getsockname()[1], server)
        finally:
            server.should_exit = True
            await serving


async def until(true: Callable[[], object], within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


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


async def tell(resources: Resources, job_id: UUID, *words: str) -> None:
    """Commit one unit with one event for each word."""
    async with resources.unit() as unit:
        job = await unit.take(job_id, None)
        for word in words:
            changes.describe(unit, job, "Builder", word, "building")


async def stored(resources: Resources, job_id: UUID) -> list[dict[str, Any]]:
    events = await StoredLog(resources.pool).after(job_id, 0, 100_000)
    return [json.loads(event.payload) for event in events]


class Socket:
    """A client's end of a WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def hear(self, within_s: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(within_s):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
        return frame

    async def hear_all(self, count: int) -> list[dict[str, Any]]:
        return [await self.hear() for _ in range(count)]

    async def say(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def pings(self) -> list[dict[str, Any]]:
        """All messages that arrive before the answer to a ping that is sent now."""
        await self.say(kind="ping")
        heard = []
        while (frame := await self.hear()) != {"kind": "pong"}:
            heard.append(frame)
        return heard

    async def hear_to_the_end(self, within_s: float = 10) -> list[dict[str, Any]]:
        """All messages that arrive before the connection is closed."""
        heard = []
        async with asyncio.timeout(within_s):
            try:
                while True:
                    heard.append(await self.hear(within_s))
            except ConnectionClosed:
                return heard

    async def closed(self, within_s: float = 10) -> int | None:
        """The code with which the socket is closed. No message may arrive before."""
        assert await self.hear_to_the_end(within_s) == []
        return self.connection.close_code


@asynccontextmanager
async def open_socket(url: str, access: str | None = None, **options: Any) -> AsyncIterator[Socket]:
    headers = {"Authorization": f"Bearer {access}"} if access else {}
    headers |= options.pop("headers", {})
    options = {"compression": None, "max_size": None, "ping_interval": None, **options}
    async with connect(url, additional_headers=headers, proxy=None, **options) as connection:
        yield Socket(connection)


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
