"""One WebSocket between a client and an app in a box. A close of one side is passed to the other."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from http import HTTPStatus

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from websockets.client import ClientProtocol
from websockets.exceptions import ProtocolError
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Response as Handshake
from websockets.protocol import Event, State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from app.api.previews.exchange import Passing
from app.api.previews.headers import Pair, from_the_app
from app.runtime.live_app import AppHeld
from app.runtime.workspace import RuntimeProblem, Stream

MAX_MESSAGE_BYTES = 1024 * 1024
"""For messages of the app. Messages of the client are limited by `wire.websocket_protocol`."""

HANDSHAKE_S = 20.0
IDLE_S = 3600.0
"""Seconds without a message of either side. Limited, because an open socket keeps the box awake."""

CLOSE_S = 3.0
"""Seconds for the app to answer our Close frame."""

GONE = "the app is gone"

SLICE_BYTES = 4096
"""Other tasks get a turn after so many bytes of the app. A frame may be two bytes."""

_quiet = logging.getLogger("boardroom.preview.sockets")
_quiet.setLevel(logging.CRITICAL)  # protocol errors of an app do not belong in our log

Touch = Callable[[], None]


async def pass_socket(scope: Scope, receive: Receive, send: Send, stream: Stream, passing: Passing) -> None:
    """Pass messages on until both sides are closed. Raises TimeoutError, RuntimeProblem, but only before the
    socket is accepted."""
    peer = _Peer(stream, scope["subprotocols"])
    async with asyncio.timeout(HANDSHAKE_S):
        answer = await peer.shake_hands(passing.headers, passing.target)
        if answer is None or answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            status = 502 if answer is None else answer.status_code
            await Response(status_code=status if 400 <= status < 600 else 502)(scope, receive, send)
            return
    given = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.raw_items()]
    passed = from_the_app(given, shared_site=passing.shared_site)
    cookies = [(name, value) for name, value in passed if name == b"set-cookie"]
    await send({"type": "websocket.accept", "subprotocol": peer.subprotocol, "headers": cookies})
    try:
        await _converse(receive, send, peer)
    except TimeoutError:
        await send({"type": "websocket.close", "code": CloseCode.GOING_AWAY})
        await peer.close(CloseCode.GOING_AWAY, "")
    except AppHeld:
        await send({"type": "websocket.close", "code": CloseCode.SERVICE_RESTART})
    except RuntimeProblem:
        await send({"type": "websocket.close", "code": CloseCode.BAD_GATEWAY, "reason": GONE})


async def _converse(receive: Receive, send: Send, peer: "_Peer") -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(IDLE_S) as patience:

        def touch() -> None:
            patience.reschedule(loop.time() + IDLE_S)

        up = asyncio.create_task(_up(receive, peer, touch))
        down = asyncio.create_task(_down(send, peer, touch))
        try:
            done, _ = await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if up not in done:
                down.result()
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
    if up in done:
        await peer.close(*up.result())


async def _up(receive: Receive, peer: "_Peer", touch: Touch) -> tuple[int | None, str]:
    """Pass the client's messages on. Returns the code and the reason with which it left."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return message.get("code"), message.get("reason") or ""
        if message["type"] == "websocket.receive":
            await peer.say(message.get("text"), message.get("bytes"))
            touch()


async def _down(send: Send, peer: "_Peer", touch: Touch) -> None:
    """Pass the app's messages on, then close the client's side."""
    while (message := await peer.hear()) is not None:
        kind = "text" if isinstance(message, str) else "bytes"
        await send({"type": "websocket.send", kind: message})
        touch()
    code, reason = peer.ending()
    await send({"type": "websocket.close", "code": code, "reason": reason})


class _Peer:
    """The client's end of a WebSocket with the app, over a stream into the box."""

    def __init__(self, stream: Stream, subprotocols: list[Subprotocol]) -> None:
        uri = WebSocketURI(
            secure=False, host="app", port=80, path="/", query="", username=None, password=None
        )
        self._stream = stream
        self._protocol = ClientProtocol(
            uri, subprotocols=subprotocols or None, max_size=MAX_MESSAGE_BYTES, logger=_quiet
        )
        self._frames: deque[Frame] = deque()
        self._parts: list[bytes] = []
        self._is_text = False

    @property
    def subprotocol(self) -> str | None:
        return self._protocol.subprotocol

    async def shake_hands(self, headers: list[Pair], target: bytes) -> Handshake | None:
        """The app's answer to the handshake; None if it is not valid."""
        request = self._protocol.connect()
        request.path = target.decode("latin-1")
        del request.headers["Host"]
        for name, value in headers:
            if not name.startswith(b"sec-websocket-"):
                request.headers[name.decode()] = value.decode("latin-1")
        self._protocol.send_request(request)
        await self._flush()
        answer: Handshake | None = None
        while answer is None and self._protocol.handshake_exc is None:
            for event in await self._read():
                if isinstance(event, Handshake):
                    answer = event
                elif isinstance(event, Frame):
                    self._frames.append(event)
        return answer

    async def say(self, text: str | None, data: bytes | None) -> None:
        if self._protocol.state is State.OPEN:
            if text is not None:
                self._protocol.send_text(text.encode())
            else:
                self._protocol.send_binary(data or b"")
            await self._flush()

    async def hear(self) -> str | bytes | None:
        """The next message; None when the app has closed."""
        while True:
            while self._frames:
                if (message := self._assemble(self._frames.popleft())) is not None:
                    return message
            if self._protocol.state is not State.OPEN:
                return None
            self._frames += [event for event in await self._read() if isinstance(event, Frame)]

    def ending(self) -> tuple[int, str]:
        """The close code and reason for the client, after the app's side has ended."""
        if (close := self._protocol.close_rcvd) is not None:
            if close.code == CloseCode.NO_STATUS_RCVD:
                return CloseCode.NORMAL_CLOSURE, ""
            return close.code, close.reason
        if (close := self._protocol.close_sent) is not None:
            return close.code, ""  # the app broke the protocol, and we closed for that
        return CloseCode.BAD_GATEWAY, GONE

    async def close(self, code: int | None, reason: str) -> None:
        """Close the app's side as the client did, and wait a short time for its Close frame."""
        try:
            async with asyncio.timeout(CLOSE_S):
                if self._protocol.state is State.OPEN:
                    self._send_close(code, reason)
                    await self._flush()
                while self._protocol.state is not State.CLOSED:
                    await self._read()
        except TimeoutError:
            pass

    def _send_close(self, code: int | None, reason: str) -> None:
        if code in (None, CloseCode.NO_STATUS_RCVD):
            self._protocol.send_close()
            return
        try:
            self._protocol.send_close(code, reason)
        except ProtocolError:  # such as 1006: the client left without a Close frame
            self._protocol.send_close(CloseCode.GOING_AWAY)

    def _assemble(self, frame: Frame) -> str | bytes | None:
        """The whole message, if this frame ends one."""
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return None
        if frame.opcode is not Opcode.CONT:
            self._parts, self._is_text = [], frame.opcode is Opcode.TEXT
        if frame.data:
            self._parts.append(bytes(frame.data))
        if not frame.fin:
            return None
        whole, self._parts = b"".join(self._parts), []
        if not self._is_text:
            return whole
        try:
            return whole.decode()
        except UnicodeDecodeError:
            self._protocol.fail(CloseCode.INVALID_DATA)
            return None

    async def _read(self) -> list[Event]:
        data = await self._stream.read()
        if not data:
            self._protocol.receive_eof()
        for at in range(0, len(data), SLICE_BYTES):
            self._protocol.receive_data(data[at : at + SLICE_BYTES])
            await asyncio.sleep(0)
        await self._flush()
        return self._protocol.events_received()

    async def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                await self._stream.write(data)
            else:
                await self._stream.write_eof()
