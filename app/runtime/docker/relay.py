"""How a process reaches the guest in a container: through streams of the engine's API. That needs no port, no
mount and no network, and works with a remote engine.

The process that makes the container has the guest's own stdin and stdout. Every other one starts a small
program in the container, the relay, which passes its own stdin and stdout to the guest as file descriptors
and waits. The relay copies no data: the guest reads the relay's stdin itself.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp
from aiodocker.stream import Stream

MAX_UNSENT = 256 * 1024
CLOSE_S = 5.0
"""Seconds in which the last bytes have to be sent before the connection is cut."""
STDOUT = 1
STDERR_BYTES = 2000
"""How many bytes of the guest's stderr are kept, from its end."""

# 1, 1: AF_UNIX and SOCK_STREAM, then SOL_SOCKET and SCM_RIGHTS; 16: SO_PASSCRED, so that the kernel tells the
# guest the sender's user. `_socket` loads in half the time of `socket`.
RELAY = """\
import _socket as s,struct,time
for _ in range(1000):
 try:
  c=s.socket(1,1);c.setsockopt(1,16,1);c.connect('\\0boardroom');break
 except ConnectionRefusedError:time.sleep(.01)
c.sendmsg([b'.'],[(1,1,struct.pack('2i',0,1))]);c.recv(1)
"""
COMMAND = ["python3", "-I", "-S", "-c", RELAY]

CauseOfEnd = Callable[[], Awaitable[str]]
"""Finds out why the other end has gone; the result is empty if that is not known."""


class EngineReader:
    """The stream from the guest (`guest.ends.Source`). If it ends although we did not close it,
    `cause_of_end` is asked for the cause, which is raised as a ConnectionResetError."""

    def __init__(self, stream: Stream, cause_of_end: CauseOfEnd) -> None:
        self._stream = stream
        self._cause_of_end = cause_of_end
        self._buffer = bytearray()
        self._stderr = bytearray()
        self.closed = False

    @property
    def stderr_tail(self) -> str:
        """The end of the guest's stderr."""
        return self._stderr.decode(errors="replace").strip()

    async def read(self, n: int) -> bytes:
        if not self._buffer:
            await self._more()
        piece = bytes(self._buffer[:n])
        del self._buffer[:n]
        return piece

    async def readexactly(self, n: int) -> bytes:
        while len(self._buffer) < n:
            if not await self._more():
                raise asyncio.IncompleteReadError(bytes(self._buffer), n)
        return await self.read(n)

    async def _more(self) -> bool:
        while not self.closed:
            try:
                message = await self._stream.read_out()
            except (aiohttp.ClientError, OSError) as error:
                raise ConnectionResetError(str(error)) from error
            if message is None:
                break
            if message.stream == STDOUT and message.data:
                self._buffer += message.data
                return True
            if message.stream != STDOUT:
                self._stderr = (self._stderr + message.data)[-STDERR_BYTES:]
        if not self.closed and (cause := await self._cause_of_end()):
            raise ConnectionResetError(cause)
        return False


class EngineWriter:
    """The stream to the guest (`guest.ends.Sink`). `write` returns at once; a task sends in the
    background."""

    def __init__(self, stream: Stream, reader: EngineReader) -> None:
        self._stream = stream
        self._reader = reader
        self._unsent = bytearray()
        self._closing = False
        self._lost = False
        self._something = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._sending = asyncio.create_task(self._send())

    def write(self, data: bytes) -> None:
        self._unsent += data
        self._something.set()
        if len(self._unsent) > MAX_UNSENT:
            self._room.clear()

    async def drain(self) -> None:
        await self._room.wait()
        if self._lost:
            raise ConnectionResetError("the relay has gone")

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = self._reader.closed = True
        self._something.set()
        asyncio.get_running_loop().call_later(CLOSE_S, self._sending.cancel)

    async def _send(self) -> None:
        try:
            while not self._closing or self._unsent:
                await self._something.wait()
                self._something.clear()
                data, self._unsent = bytes(self._unsent), bytearray()
                if data:
                    await self._stream.write_in(data)
                self._room.set()
        # aiodocker raises AssertionError when the connection has gone.
        except (aiohttp.ClientError, OSError, RuntimeError, AssertionError):
            self._lost = self._closing = True
        finally:
            self._room.set()
            with contextlib.suppress(AssertionError):
                await self._stream.close()
