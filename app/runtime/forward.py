"""Forwards a port of this machine to a port inside a box."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

from app.domain.errors import Refusal
from app.domain.workspace import MANIFEST, Manifest
from app.runtime.runtime import Runtime
from app.runtime.workspace import BoxDied, RuntimeProblem, Stream, Workspace

READ_BYTES = 64 * 1024

Dial = Callable[[], Awaitable[Stream]]


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
    """The app in a job's box. It is started from its manifest, and again if its box has died meanwhile."""

    def __init__(self, runtime: Runtime, job_id: UUID) -> None:
        self._runtime, self._job_id = runtime, job_id
        self._workspace: Workspace | None = None
        self._port = 0
        self._waking = asyncio.Lock()

    async def wake(self) -> None:
        """Attach and start the app, unless that was done. Raises WorkspaceMissing, SandboxUnavailable,
        NotFound (there is no manifest yet), AppSilent."""
        async with self._waking:
            if self._workspace is not None:
                return
            workspace = await self._runtime.attach(self._job_id)
            try:
                manifest = Manifest.model_validate_json((await workspace.read(MANIFEST)).content)
                status = await workspace.start_app(manifest)
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
                return await self._workspace.dial(self._port)
            await self.close()
        raise BoxDied("the box died while the app was dialled")

    async def close(self) -> None:
        """Detach; the app goes on."""
        workspace, self._workspace = self._workspace, None
        if workspace is not None:
            await workspace.close()
