"""One WebSocket to an app in a box, both ways, with the close of either side told to the other."""

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

from app.api.preview_headers import Pair, from_the_app
from app.runtime.workspace import RuntimeProblem, Stream

MAX_MESSAGE_BYTES = 1024 * 1024
"""From the app; what a client says is limited where all its sockets are."""

HANDSHAKE_S = 20.0
IDLE_S = 3600.0
"""How long nobody may say anything: an open page counts as use of the box."""

CLOSE_S = 3.0
"""How long the app may take to answer our Close frame."""

GONE = "the app is gone"

SLICE_BYTES = 4096
"""Other tasks of the loop get a turn after so much of what the app says: a frame may be two bytes."""

_quiet = logging.getLogger("boardroom.preview.sockets")
_quiet.setLevel(logging.CRITICAL)  # what an app in a box gets wrong is no line in our log

Touch = Callable[[], None]


async def pass_socket(
    scope: Scope, receive: Receive, send: Send, stream: Stream, headers: list[Pair], target: bytes
) -> None:
    """Until both sides are closed. TimeoutError, RuntimeProblem: before the socket is accepted."""
    peer = _Peer(stream, scope["subprotocols"])
    async with asyncio.timeout(HANDSHAKE_S):
        answer = await peer.shake_hands(headers, target)
        if answer is None or answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            status = 502 if answer is None else answer.status_code
            await Response(status_code=status if 400 <= status < 600 else 502)(scope, receive, send)
            return
    given = [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.raw_items()]
    cookies = [(name, value) for name, value in from_the_app(given) if name == b"set-cookie"]
    await send({"type": "websocket.accept", "subprotocol": peer.subprotocol, "headers": cookies})
    try:
        await _converse(receive, send, peer)
    except TimeoutError:
        await send({"type": "websocket.close", "code": CloseCode.GOING_AWAY})
        await peer.say_goodbye(CloseCode.GOING_AWAY, "")
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
        await peer.say_goodbye(*up.result())


async def _up(receive: Receive, peer: "_Peer", touch: Touch) -> tuple[int | None, str]:
    """Pass the client's messages on; then with which code and reason it has left."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return message.get("code"), message.get("reason") or ""
        if message["type"] == "websocket.receive":
            await peer.say(message.get("text"), message.get("bytes"))
            touch()


async def _down(send: Send, peer: "_Peer", touch: Touch) -> None:
    """Pass the app's messages on; at their end, close."""
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
        """The app's answer; None when it is none."""
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
        """The next message; None when there will be none."""
        while True:
            while self._frames:
                if (message := self._assemble(self._frames.popleft())) is not None:
                    return message
            if self._protocol.state is not State.OPEN:
                return None
            self._frames += [event for event in await self._read() if isinstance(event, Frame)]

    def ending(self) -> tuple[int, str]:
        """With which code and reason the app's side ended, as a client may be told."""
        if (close := self._protocol.close_rcvd) is not None:
            if close.code == CloseCode.NO_STATUS_RCVD:
                return CloseCode.NORMAL_CLOSURE, ""
            return close.code, close.reason
        if (close := self._protocol.close_sent) is not None:
            return close.code, ""  # it broke the protocol, and this is how we said so
        return CloseCode.BAD_GATEWAY, GONE

    async def say_goodbye(self, code: int | None, reason: str) -> None:
        """Close as the client did, and see the app's end of it, if it does not take too long."""
        try:
            async with asyncio.timeout(CLOSE_S):
                if self._protocol.state is State.OPEN:
                    self._close(code, reason)
                    await self._flush()
                while self._protocol.state is not State.CLOSED:
                    await self._read()
        except TimeoutError:
            pass

    def _close(self, code: int | None, reason: str) -> None:
        if code in (None, CloseCode.NO_STATUS_RCVD):
            self._protocol.send_close()
            return
        try:
            self._protocol.send_close(code, reason)
        except ProtocolError:  # such as 1006: it left without a word
            self._protocol.send_close(CloseCode.GOING_AWAY)

    def _assemble(self, frame: Frame) -> str | bytes | None:
        """The message that ends with this frame."""
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
