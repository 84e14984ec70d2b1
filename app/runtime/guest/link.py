"""The protocol between the service and a guest: many calls at once over one connection, with flow control.
Both ends use this module.

A frame is `length: u32, kind: u8, stream: u32` in network order, then `length` bytes. The *opening* end (a
process of the service) numbers its calls 1, 2, 3, …; the *serving* end (the guest) answers each with one
RESULT. Each end may send DATA on an open stream as long as it has credit; the reader returns credit as it
consumes. Every rule is checked when a frame is read, because the opening end must not trust the serving end.
"""

import asyncio
from collections.abc import Callable

from .ends import Sink, Source
from .frames import (
    BYE,
    CREDIT,
    DATA,
    EOF,
    HEADER,
    HELLO,
    MAX_FRAME,
    OPEN,
    PIECE,
    PING,
    PONG,
    RESET,
    RESULT,
    Json,
    Violation,
    encode_object,
    parse_object,
)

WINDOW = 262_144
RETURN_STEP = 65_536
OVERHEAD = 64
"""Credit that a DATA frame costs in addition to its bytes, so that a flood of tiny frames is limited, too."""

BREATH = 500
"""Frames that are handled before other tasks of the event loop get a turn."""


class LinkLost(Exception):
    """The link ended before a call was complete. `bye` is the reason that the peer gave, if any."""

    def __init__(self, reason: str, bye: str = "") -> None:
        super().__init__(reason)
        self.bye = bye


class Stream:
    """One call: `read` and `send` transfer its data, `result` waits for its answer."""

    def __init__(self, link: "Link", ident: int) -> None:
        self.ident = ident
        self.link = link
        self._inbox = bytearray()
        self._held = 0
        self._owed = 0
        self._may_send = WINDOW
        self._ended = False
        self._result: Json | None = None
        self._lost: LinkLost | None = None
        self._changed = asyncio.Event()
        self.draining = False

    async def read(self) -> bytes:
        """The next piece of data; empty at the end. Raises LinkLost."""
        while not self._inbox:
            if self._ended or self._result is not None:
                return b""
            await self._change()
        piece = bytes(self._inbox[:MAX_FRAME])
        del self._inbox[: len(piece)]
        self._give_back(len(piece) if self._inbox else self._held)
        return piece

    async def read_all(self, limit: int, on_data: Callable[[bytes], None] | None = None) -> bytes:
        """All data to the end; `on_data` is called with each piece. Raises LinkLost, and Violation beyond
        `limit` bytes."""
        whole = bytearray()
        while piece := await self.read():
            whole += piece
            if len(whole) > limit:
                raise Violation(f"an answer is longer than {limit} bytes")
            if on_data is not None:
                on_data(piece)
        return bytes(whole)

    async def send(self, data: bytes) -> None:
        """Send all of `data`, waiting for credit. Data is dropped silently when the call is over."""
        view = memoryview(data)
        while view and self._result is None and not self.draining:
            room = min(PIECE, self._may_send - OVERHEAD, len(view))
            if room <= 0 or (room < len(view) and room < PIECE // 4):
                await self._change()
                continue
            self._may_send -= room + OVERHEAD
            await self.link.send_data(self.ident, view[:room])
            view = view[room:]

    def send_eof(self) -> None:
        self.link.send(EOF, self.ident)

    @property
    def is_cut(self) -> bool:
        """Whether the answer came before the end of the data."""
        return self._result is not None and not self._ended

    async def result(self) -> Json:
        """The answer. Raises LinkLost."""
        while self._result is None:
            await self._change()
        return self._result

    async def _change(self) -> None:
        if self._lost is not None:
            raise self._lost
        self._changed.clear()
        await self._changed.wait()

    def _give_back(self, cost: int) -> None:
        self._held -= cost
        self._owed += cost
        if self._owed >= RETURN_STEP and self._result is None and not self._ended:
            self.link.send(CREDIT, self.ident, self._owed.to_bytes(4, "big"))
            self._owed = 0

    # Called by the link.

    def on_data(self, payload: bytes) -> None:
        cost = len(payload) + OVERHEAD
        if not payload or self._ended or self._held + self._owed + cost > WINDOW:
            raise Violation("data without credit, after the end, or empty")
        self._held += cost
        if self.draining:
            return
        self._inbox += payload
        self._changed.set()

    def on_eof(self) -> None:
        if self._ended:
            raise Violation("a stream ended twice")
        self._ended = True
        self._changed.set()

    def on_credit(self, payload: bytes) -> None:
        amount = int.from_bytes(payload, "big")
        if len(payload) != 4 or amount == 0 or self._may_send + amount > WINDOW:
            raise Violation("credit for what was never sent")
        self._may_send += amount
        self._changed.set()

    def on_result(self, result: Json) -> None:
        self._result = result
        self._changed.set()

    def on_lost(self, lost: LinkLost) -> None:
        self._lost = lost
        self._changed.set()


class Link:
    """One end of a connection: the serving end if `on_open` is given, otherwise the opening end."""

    def __init__(
        self,
        reader: Source,
        writer: Sink,
        on_open: Callable[[Stream, Json], None] | None = None,
        on_reset: Callable[[Stream], None] | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_open = on_open
        self._on_reset = on_reset
        self._streams: dict[int, Stream] = {}
        self._last = 0
        self._pings = 0
        self._turn = asyncio.Lock()
        self._bye = ""
        self._greeted = False
        self.lost: LinkLost | None = None
        self.heard = asyncio.get_running_loop().time()

    def busy(self) -> bool:
        return bool(self._streams)

    async def greet(self, hello: Json) -> None:
        self.send(HELLO, 0, encode_object(hello))
        self._greeted = True
        await self._writer.drain()

    async def greeting(self) -> Json:
        """The peer's HELLO, which is the first frame of a connection. Raises LinkLost, Violation."""
        try:
            length, kind, ident = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            if kind != HELLO or ident != 0 or length > MAX_FRAME:
                raise Violation("the first frame is no greeting")
            hello = parse_object(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise LinkLost("closed before its greeting") from error
        self.heard = asyncio.get_running_loop().time()
        return hello

    async def run(self) -> None:
        """Handle frames until the peer closes or `close` is called. Raises Violation. In every case the link
        is closed then, and all open streams get LinkLost."""
        reason = "the connection closed"
        try:
            await self._read_frames()
        except ConnectionError as error:
            reason = f"the connection broke: {error}"
        except Violation as error:
            reason = f"the protocol was broken: {error}"
            raise
        finally:
            self._end(LinkLost(reason, self._bye))

    async def _read_frames(self) -> None:
        buffer = bytearray()
        handled = 0
        while not self._bye and (chunk := await self._reader.read(MAX_FRAME)):
            self.heard = asyncio.get_running_loop().time()
            buffer += chunk
            at = 0
            while len(buffer) - at >= HEADER.size:
                length, kind, ident = HEADER.unpack_from(buffer, at)
                if length > MAX_FRAME:
                    raise Violation("a frame is too long")
                end = at + HEADER.size + length
                if len(buffer) < end:
                    break
                self._on_frame(kind, ident, bytes(buffer[at + HEADER.size : end]))
                at = end
                handled += 1
                if handled % BREATH == 0:
                    await asyncio.sleep(0)
            del buffer[:at]

    def open(self, request: Json) -> Stream:
        """Begin a call. Raises LinkLost, and ValueError if `request` does not fit into one frame."""
        if self.lost is not None:
            raise self.lost
        payload = encode_object(request)
        self._last += 1
        stream = self._streams[self._last] = Stream(self, self._last)
        self.send(OPEN, stream.ident, payload)
        return stream

    def reset(self, stream: Stream) -> None:
        """Cancel a call. Its id stays in use until the peer has confirmed."""
        if stream.ident in self._streams and not stream.draining:
            stream.draining = True
            self.send(RESET, stream.ident)

    def finish(self, stream: Stream, result: Json | None) -> None:
        """Answer a call. A `result` of None confirms a reset."""
        if self._streams.pop(stream.ident, None) is None:
            return
        stream.on_result(result or {})
        if result is None:
            self.send(RESET, stream.ident)
        else:
            self.send(RESULT, stream.ident, encode_object(result))

    def ping(self) -> None:
        self._pings += 1
        self.send(PING, 0)

    def bye(self, reason: str) -> None:
        """Tell the peer that the serving end closes the connection. If the connection is the container's own
        stdout, this is the only sign, because the engine does not pass on the end of that stream."""
        self.send(BYE, 0, encode_object({"reason": reason}))

    def send(self, kind: int, ident: int, payload: bytes = b"") -> None:
        """Queue one frame, before data that waits in `send_data`."""
        if not self._writer.is_closing():
            self._writer.write(HEADER.pack(len(payload), kind, ident) + payload)

    async def send_data(self, ident: int, piece: memoryview) -> None:
        """Send one piece of data. The lock is fair, so that streams take turns."""
        async with self._turn:
            self.send(DATA, ident, bytes(piece))
            try:
                await self._writer.drain()
            except ConnectionError as error:
                raise LinkLost("the connection closed", self._bye) from error

    def close(self) -> None:
        if self._on_open is not None and self._greeted:
            self.bye("closed")
        self._writer.close()

    def _end(self, lost: LinkLost) -> None:
        self.lost = lost
        for stream in list(self._streams.values()):
            stream.on_lost(lost)
        self._streams.clear()
        self.close()

    def _on_frame(self, kind: int, ident: int, payload: bytes) -> None:
        if ident == 0:
            self._on_link_frame(kind, payload)
        elif kind == OPEN and self._on_open is not None:
            if ident <= self._last:
                raise Violation("a stream was opened twice")
            self._last = ident
            stream = self._streams[ident] = Stream(self, ident)
            self._on_open(stream, parse_object(payload))
        else:
            self._on_stream_frame(kind, ident, payload)

    def _on_link_frame(self, kind: int, payload: bytes) -> None:
        serving = self._on_open is not None
        if kind == PING and serving:
            self.send(PONG, 0)
        elif kind == PONG and self._pings:
            self._pings -= 1
        elif kind == BYE and not serving:
            self._bye = self._bye or str(parse_object(payload).get("reason", ""))[:40] or "closed"
        else:
            raise Violation(f"an unexpected frame of kind {kind}")

    def _on_stream_frame(self, kind: int, ident: int, payload: bytes) -> None:
        stream = self._streams.get(ident)
        if stream is None:
            # The caller may have sent this before it got the answer of the call.
            if self._on_open is not None and ident <= self._last:
                return
            raise Violation("a frame for an unknown stream")
        if kind == DATA:
            stream.on_data(payload)
        elif kind == EOF:
            stream.on_eof()
        elif kind == CREDIT:
            stream.on_credit(payload)
        elif kind == RESET and self._on_reset is not None:
            stream.draining = True
            self._on_reset(stream)
        elif kind in (RESULT, RESET) and self._on_open is None:
            if kind == RESULT:
                stream.on_result(parse_object(payload))
            else:
                stream.on_lost(LinkLost("the call was given up", self._bye))
            del self._streams[ident]
        else:
            raise Violation(f"an unexpected frame of kind {kind}")
