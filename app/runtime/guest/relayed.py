"""How attachments reach the guest of a container. The process that made the container uses the guest's own
stdin and stdout. All others use a relay: a process of another user, which the engine starts in the box.

A relay passes its stdin and stdout to the guest as file descriptors and waits until they are closed; it
copies no data. The guest listens on an abstract Unix socket, which the job cannot replace by a file and which
is taken as long as the box lives. The kernel tells the user of the caller, and the job cannot become the
relay's user. gVisor's kernel names the guest itself as the peer of every connection, so the sender of the
message is checked, too; other kernels allow to refuse a stranger before it has sent anything.
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
MAX_WAITING = 32
"""How many connections may be waiting that have not yet passed their descriptors."""
_CREDENTIALS = struct.Struct("3i")
_ENDS = struct.Struct("2i")

OnConnection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RelayServer:
    """Accepts attachments until it is closed. Connections that exist then go on."""

    def __init__(self, relay_uid: int, on_connection: OnConnection) -> None:
        self._uid = relay_uid
        self._on_connection = on_connection
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(ADDRESS)
        self._listener.listen(BACKLOG)
        self._listener.setblocking(False)
        self._waiting = 0
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
        """Serve the guest's own stdin and stdout, as soon as the first byte comes."""
        await _readable(stdin)
        reader, writer = await _streams(stdin, stdout)
        await self._on_connection(reader, writer)
        await writer.flushed()

    async def _serve(self, relay: socket.socket) -> None:
        with relay:
            if _is_stranger(relay, self._uid) or self._waiting == MAX_WAITING:
                return
            self._waiting += 1
            try:
                async with asyncio.timeout(PATIENCE_S):
                    reader, writer = await _streams(*await _handed_over(relay, self._uid))
            except (OSError, ValueError, TimeoutError):
                return
            finally:
                self._waiting -= 1
            await self._on_connection(reader, writer)
            await writer.flushed()


class PipeWriter(asyncio.StreamWriter):
    """Writes to the relay's stdout. Closing it also closes the relay's stdin, as with a socket."""

    stdin: asyncio.ReadTransport

    def close(self) -> None:
        super().close()
        self.stdin.close()

    async def flushed(self) -> None:
        """Wait up to `PATIENCE_S` until all data was read."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self.wait_closed()


def _is_stranger(relay: socket.socket, uid: int) -> bool:
    credentials = relay.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, said, _ = _CREDENTIALS.unpack(credentials)
    return bool(pid != os.getpid() and said != uid)


async def _handed_over(relay: socket.socket, uid: int) -> tuple[int, int]:
    """The stdin and stdout of a relay, as descriptors. Raises ValueError if the sender is not user `uid`, and
    OSError."""
    relay.setblocking(False)
    relay.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    await _readable(relay.fileno())
    room = socket.CMSG_SPACE(_ENDS.size) + socket.CMSG_SPACE(_CREDENTIALS.size)
    _, said, _, _ = relay.recvmsg(1, room)
    parts = {kind: data for _, kind, data in said}
    sender = parts.get(socket.SCM_CREDENTIALS, b"")
    rights = parts.get(socket.SCM_RIGHTS, b"")
    descriptors = struct.unpack(f"{len(rights) // 4}i", rights[: len(rights) // 4 * 4])
    if len(descriptors) != 2 or len(sender) != _CREDENTIALS.size or _CREDENTIALS.unpack(sender)[1] != uid:
        for descriptor in descriptors:
            os.close(descriptor)
        raise ValueError("no relay of ours, or not its stdin and stdout")
    return descriptors[0], descriptors[1]


def _own_ends() -> tuple[int, int]:
    """Copies of the guest's own stdin and stdout. The originals are replaced by /dev/null and stderr, because
    commands would inherit them."""
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
