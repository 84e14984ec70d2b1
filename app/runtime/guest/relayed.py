"""How attachments come into a container: one is our own stdin and stdout, for whoever made the container; all
others come through a relay, a process of another user, which the engine starts in our box.

The relay hands over its stdin and stdout and waits until they are done with; it copies nothing. Our address
is abstract, so no file of the job can stand in for it, and it is taken as long as the box lives. Who calls is
the kernel's word: the job cannot become the relay's user.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable

ADDRESS = "\0boardroom"
BACKLOG = 64
PATIENCE_S = 10.0
_CREDENTIALS = struct.Struct("3i")

OnConnection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RelayServer:
    """Serves until it is closed; connections that stand go on."""

    def __init__(self, relay_uid: int, on_connection: OnConnection) -> None:
        self._uid = relay_uid
        self._on_connection = on_connection
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(ADDRESS)
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        self._serving = {asyncio.create_task(self._serve_our_own(*_own_ends()))}
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        self._accepting.cancel()
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            relay, _ = await loop.sock_accept(self._listener)
            serving = asyncio.create_task(self._serve(relay))
            self._serving.add(serving)
            serving.add_done_callback(self._serving.discard)

    async def _serve_our_own(self, stdin: int, stdout: int) -> None:
        """As soon as somebody speaks, whenever that is."""
        await _readable(stdin)
        reader, writer = await _streams(stdin, stdout)
        await self._on_connection(reader, writer)
        await writer.flushed()

    async def _serve(self, relay: socket.socket) -> None:
        with relay:
            if _uid_of(relay) != self._uid:
                return
            try:
                async with asyncio.timeout(PATIENCE_S):
                    reader, writer = await _streams(*await _handed_over(relay))
            except (OSError, ValueError, TimeoutError):
                return
            await self._on_connection(reader, writer)
            await writer.flushed()


class PipeWriter(asyncio.StreamWriter):
    """The relay's stdout. Closing it closes the stdin beside it too, as it would with a socket."""

    stdin: asyncio.ReadTransport

    def close(self) -> None:
        super().close()
        self.stdin.close()

    async def flushed(self) -> None:
        """Until what was written has been taken, or nobody will."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self.wait_closed()


def _uid_of(relay: socket.socket) -> int:
    credentials = relay.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(credentials)[1]
    return uid


async def _handed_over(relay: socket.socket) -> tuple[int, int]:
    """The relay's stdin and stdout. Raises OSError, ValueError."""
    relay.setblocking(False)
    await _readable(relay.fileno())
    _, descriptors, _, _ = socket.recv_fds(relay, 1, 2)
    if len(descriptors) != 2:
        for descriptor in descriptors:
            os.close(descriptor)
        raise ValueError("the relay handed over something else than stdin and stdout")
    return descriptors[0], descriptors[1]


def _own_ends() -> tuple[int, int]:
    """Our stdin and stdout, taken from where those whom we start would inherit them."""
    ends = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return ends


async def _readable(descriptor: int) -> None:
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)


async def _streams(stdin: int, stdout: int) -> tuple[asyncio.StreamReader, PipeWriter]:
    loop = asyncio.get_running_loop()
    for descriptor in (stdin, stdout):
        os.set_inheritable(descriptor, False)
    reader = asyncio.StreamReader()
    taking, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(stdin, "rb", buffering=0)
    )
    giving, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), os.fdopen(stdout, "wb", buffering=0)
    )
    writer = PipeWriter(giving, protocol, None, loop)
    writer.stdin = taking
    return reader, writer
