"""Web processes that serve nothing but sockets, on a real uvicorn, with clients to talk to them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import uvicorn
from arq.connections import ArqRedis
from fastapi import FastAPI
from sqlalchemy.engine import make_url
from uuid_utils.compat import uuid7
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from app.actions import changes, jobs
from app.api.socket_protocol import SOCKET_OPTIONS
from app.api.sockets import SocketDoor, router
from app.auth.tokens import Tokens
from app.events.hub import Hub
from app.events.redis import RedisBus, RedisHints
from app.queue import ArqBell
from app.resources import Resources
from app.runtime.workspace import Runtime
from app.store.database import open_engine
from app.store.events import StoredLog
from app.store.tables import RefreshFamily, User

SWEEP_S = 0.2
TOKENS = Tokens("a secret for the tests of sockets, long enough", access_s=600)


class _Server(uvicorn.Server):
    def capture_signals(self) -> Any:
        return nullcontext()


@dataclass
class Web:
    """One web process of sockets."""

    resources: Resources
    door: SocketDoor
    port: int
    server: uvicorn.Server

    def url(self, job_id: object, query: str = "") -> str:
        return f"ws://127.0.0.1:{self.port}/ws/jobs/{job_id}/{query}"


@asynccontextmanager
async def open_resources(database_url: str, redis_url: str) -> AsyncIterator[Resources]:
    redis = ArqRedis.from_url(redis_url, socket_connect_timeout=1)
    engine = open_engine(database_url)
    try:
        yield Resources(engine, RedisBus(redis), ArqBell(redis), cast(Runtime, None))
    finally:
        await redis.aclose()
        await engine.dispose()


@asynccontextmanager
async def open_web(database_url: str, redis_url: str, *, sweep_s: float, **door: Any) -> AsyncIterator[Web]:
    options = {"token_query": True, "origins": frozenset({"https://listed.example"}), **door}
    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(open_resources(database_url, redis_url))
        hub = Hub(StoredLog(resources.engine), RedisHints(redis_url), sweep_s)
        application = FastAPI()
        application.include_router(router)
        application.state.sockets = SocketDoor(resources, TOKENS, hub, **options)
        await stack.enter_async_context(application.state.sockets.open())
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        config = uvicorn.Config(
            application, log_config=None, lifespan="off", timeout_graceful_shutdown=2, **SOCKET_OPTIONS
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started)
        try:
            yield Web(resources, application.state.sockets, port, server)
        finally:
            server.should_exit = True
            await serving


async def until(true: Callable[[], object], within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not true():
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
    """A collecting job; its log holds one event, the idea."""
    return await jobs.create_job(resources, person.id, "Ada", "A reading list.")


async def tell(resources: Resources, job_id: UUID, *words: str) -> None:
    """One unit with one event for each word."""
    async with resources.unit() as unit:
        job = await unit.take(job_id, None)
        for word in words:
            changes.describe(unit, job, "Builder", word, "building")


async def stored(resources: Resources, job_id: UUID) -> list[dict[str, Any]]:
    events = await StoredLog(resources.engine).after(job_id, 0, 100_000)
    return [json.loads(event.payload) for event in events]


class Socket:
    """A client's end."""

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
        """What arrives before the answer to a ping sent now: all that was on its way."""
        await self.say(kind="ping")
        heard = []
        while (frame := await self.hear()) != {"kind": "pong"}:
            heard.append(frame)
        return heard

    async def closed(self, within_s: float = 10) -> int | None:
        """Read to the end; the close code."""
        async with asyncio.timeout(within_s):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed:
                return self.connection.close_code


@asynccontextmanager
async def open_socket(url: str, access: str | None = None, **options: Any) -> AsyncIterator[Socket]:
    headers = {"Authorization": f"Bearer {access}"} if access else {}
    headers |= options.pop("headers", {})
    options = {"compression": None, "max_size": None, "ping_interval": None, **options}
    async with connect(url, additional_headers=headers, proxy=None, **options) as connection:
        yield Socket(connection)


class Wire:
    """A TCP wire to a backing part, which can be cut, or stall with everything still connected."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._cut = False
        self._flows = asyncio.Event()
        self._flows.set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        """Connections are reset, new ones too."""
        self._cut = True
        self._flows.set()
        for writer in self._ends:
            writer.transport.abort()

    def stall(self) -> None:
        self._flows.clear()

    def heal(self) -> None:
        self._cut = False
        self._flows.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection(*self._to)
        ends = {writer, there_writer}
        self._ends |= ends
        try:
            await asyncio.gather(self._copy(reader, there_writer), self._copy(there_reader, writer))
        finally:
            self._ends -= ends
            for end in ends:
                end.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await self._flows.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def wire_to(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to the part at `url`, and the address of its near end."""
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    wire = Wire(parts.hostname, parts.port)
    near = make_url(url).set(host="127.0.0.1", port=await wire.start())
    try:
        yield wire, near.render_as_string(hide_password=False)
    finally:
        await wire.stop()


OpenWeb = Callable[..., AbstractAsyncContextManager[Web]]


@pytest.fixture
def start_web(database_url: str, redis_url: str) -> OpenWeb:
    def start(**options: Any) -> AbstractAsyncContextManager[Web]:
        return open_web(
            **{"database_url": database_url, "redis_url": redis_url, "sweep_s": SWEEP_S, **options}
        )

    return start


@pytest.fixture
async def web(start_web: OpenWeb) -> AsyncIterator[Web]:
    async with start_web() as web:
        yield web


@pytest.fixture
async def ada(web: Web) -> Person:
    return await add_person(web.resources)


@pytest.fixture
async def job_id(web: Web, ada: Person) -> UUID:
    return await add_job(web.resources, ada)
