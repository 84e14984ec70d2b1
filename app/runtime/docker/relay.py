"""The way to a guest in a container: streams of the engine's, which need no port, no mount and no network, on
whatever machine it is.

Whoever makes the container has the guest's own stdin and stdout. All others start a tiny process there, which
hands its two pipes to the guest and waits. This relay copies nothing: what we write into its stdin the guest
reads.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp
from aiodocker.stream import Stream

MAX_UNSENT = 256 * 1024
CLOSE_S = 5.0
"""How long what was written last may take to be read before the connection is cut."""
STDOUT = 1
WORDS = 2000
"""How much is kept of what a guest says on stderr."""

# 1, 1: AF_UNIX and SOCK_STREAM, then SOL_SOCKET and SCM_RIGHTS; 16: SO_PASSCRED, so that the kernel says who
# sends. `_socket` loads in half the time of `socket`.
RELAY = """\
import _socket as s,struct,time
for _ in range(1000):
 try:
  c=s.socket(1,1);c.setsockopt(1,16,1);c.connect('\\0boardroom');break
 except ConnectionRefusedError:time.sleep(.01)
c.sendmsg([b'.'],[(1,1,struct.pack('2i',0,1))]);c.recv(1)
"""
COMMAND = ["python3", "-I", "-S", "-c", RELAY]

Autopsy = Callable[[], Awaitable[str]]
"""Why the other end may have gone; "" when nothing is known."""


class EngineReader:
    """What the guest says (`guest.ends.Source`). At an end that is not our doing the autopsy is held, and its
    finding is raised as a ConnectionError."""

    def __init__(self, stream: Stream, autopsy: Autopsy) -> None:
        self._stream = stream
        self._autopsy = autopsy
        self._buffer = bytearray()
        self._words = bytearray()
        self.closed = False

    @property
    def words(self) -> str:
        """The last that was said on stderr."""
        return self._words.decode(errors="replace").strip()

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
                self._words = (self._words + message.data)[-WORDS:]
        if not self.closed and (cause := await self._autopsy()):
            raise ConnectionResetError(cause)
        return False


class EngineWriter:
    """What we say (`guest.ends.Sink`): written at once, sent in the background."""

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
        # The last is aiodocker's way to say that the connection has gone.
        except (aiohttp.ClientError, OSError, RuntimeError, AssertionError):
            self._lost = self._closing = True
        finally:
            self._room.set()
            with contextlib.suppress(AssertionError):
                await self._stream.close()
