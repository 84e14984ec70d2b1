"""A web process on a real uvicorn, within the process of a test."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from app.main import Boardroom, server_config
from tests.helpers.waiting import until


class Server(uvicorn.Server):
    """uvicorn in the process of a test. The test keeps its own signal handlers."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(application: Boardroom, graceful_s: int | None = None) -> AsyncIterator[tuple[Server, int]]:
    """Serve `application` on a free port of the loopback: the server and its port. `graceful_s` is how long
    it waits for open connections at its end, by default as long as the service itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = server_config(application, application.settings)
        if graceful_s is not None:
            config.timeout_graceful_shutdown = graceful_s
        server = Server(config)
        running = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started or running.done())
        if running.done():
            await running
        try:
            yield server, listener.getsockname()[1]
        finally:
            server.should_exit = True
            await running
