"""A port of this machine that leads to a port inside a box."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from app.domain.errors import Refusal
from app.runtime.workspace import RuntimeProblem, Stream

READ_BYTES = 64 * 1024

Dial = Callable[[], Awaitable[Stream]]


@contextlib.asynccontextmanager
async def forwarded(dial: Dial, port: int = 0) -> AsyncIterator[int]:
    """Listen on 127.0.0.1:`port` (0: any) and pass each connection on to a stream of `dial`; yields the port.
    A connection that cannot be dialled is closed."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, RuntimeProblem, Refusal):
            stream = await dial()
            try:
                await _pass_on(reader, writer, stream)
            finally:
                await stream.close()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


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
