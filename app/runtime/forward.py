"""Forwards a port of this machine to a port inside a box."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TypeVar
from uuid import UUID

from app.domain.errors import Refusal
from app.domain.workspace import MANIFEST, Manifest
from app.runtime.live_app import AppHeld
from app.runtime.runtime import Runtime
from app.runtime.workspace import AppStatus, BoxDied, RuntimeProblem, Stream, Workspace

READ_BYTES = 64 * 1024
HELD_S = 90.0
"""Seconds for which an app that is being changed is waited for: its requests may end, then it starts
twice."""
LOOK_S = 0.2

T = TypeVar("T")
Dial = Callable[[], Awaitable[Stream]]


async def _never() -> bool:
    return False


class AppSilent(RuntimeProblem):
    """The app was started and does not answer."""


@contextlib.asynccontextmanager
async def forwarded(dial: Dial, port: int = 0) -> AsyncIterator[int]:
    """Listen on 127.0.0.1:`port` (0: any free one) and forward each connection to a stream of `dial`; yields
    the port. If `dial` fails, the connection is closed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, RuntimeProblem, Refusal):
            stream = await dial()
            try:
                await _pass_on(reader, writer, stream)
            finally:
                await stream.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(serve(reader, writer))
        connections.add(connection)
        connection.add_done_callback(connections.discard)

    connections: set[asyncio.Task[None]] = set()
    async with await asyncio.start_server(accept, "127.0.0.1", port) as server:
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            open_still = list(connections)
            for connection in open_still:
                connection.cancel()
            await asyncio.gather(*open_still, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: Stream) -> None:
    async def into_the_box() -> None:
        while data := await reader.read(READ_BYTES):
            await stream.write(data)
        await stream.write_eof()

    sending = asyncio.create_task(into_the_box())
    try:
        while data := await stream.read():
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, RuntimeProblem, Refusal):
            await sending


class AppOfJob:
    """The app in a job's box. It is started from its manifest, and again if its box has died meanwhile. While
    it is being changed, all wait: `is_changing` knows that, too, if the box was started anew since."""

    def __init__(
        self,
        runtime: Runtime,
        job_id: UUID,
        is_changing: Callable[[], Awaitable[bool]] = _never,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_wait` is called when a wait begins."""
        self._runtime, self._job_id = runtime, job_id
        self._is_changing, self._on_wait = is_changing, on_wait
        self._workspace: Workspace | None = None
        self._port = 0
        self._waking = asyncio.Lock()

    async def wake(self) -> None:
        """Attach and start the app, unless that was done. Raises WorkspaceMissing, SandboxUnavailable,
        NotFound (there is no manifest yet), AppSilent, AppHeld after `HELD_S`."""
        async with self._waking:
            if self._workspace is not None:
                return
            workspace = await self._runtime.attach(self._job_id)
            try:
                status = await self._patiently(partial(self._start, workspace))
                if not status.answering or status.port is None:
                    raise AppSilent(f"The app does not answer. Its last words:\n{status.log_tail}")
            except BaseException:
                await workspace.close()
                raise
            self._workspace, self._port = workspace, status.port

    async def dial(self) -> Stream:
        """A connection to the app, which is woken if necessary. Raises what `wake` raises, BoxDied, and
        Conflict if nothing listens."""
        for _ in range(2):
            await self.wake()
            assert self._workspace is not None
            with contextlib.suppress(BoxDied):
                return await self._patiently(partial(self._workspace.dial, self._port))
            await self.close()
        raise BoxDied("the box died while the app was dialled")

    async def _start(self, workspace: Workspace) -> AppStatus:
        if await self._is_changing():
            raise AppHeld
        # Read each time: the file is one of those that are changed.
        manifest = Manifest.model_validate_json((await workspace.read(MANIFEST)).content)
        return await workspace.start_app(manifest)

    async def _patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        """What `act` returns, as soon as the app is not held any more."""
        end, waits = time.monotonic() + HELD_S, False
        while True:
            try:
                return await act()
            except AppHeld:
                if time.monotonic() > end:
                    raise
                if not waits:
                    self._on_wait()
                waits = True
            await asyncio.sleep(LOOK_S)

    async def close(self) -> None:
        """Detach; the app goes on."""
        workspace, self._workspace = self._workspace, None
        if workspace is not None:
            await workspace.close()
