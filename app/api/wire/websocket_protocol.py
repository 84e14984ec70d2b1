"""uvicorn's WebSocket protocol with some changes: how sockets are closed, and what is not logged.

`websockets.ServerProtocol` answers an empty Close frame with an empty one. Browsers then report code 1005,
which existing clients take for a failure and reconnect for ever. Decision 5 lists the changes;
`tests/sockets/test_closing.py` tests each of them on a raw socket.
"""

import asyncio
import logging
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

MAX_FRAME_BYTES = 64 * 1024
"""A socket whose client sends a longer message is closed with 1009."""

PING_S = 20.0
"""Seconds between two pings, and for the answer. A peer that is silent for twice as long is dropped."""

CLOSE_S = 10.0
"""Seconds in which a peer may read what is still to be sent and answer our Close frame."""

DISCARD_S = 1.0
"""Seconds in which the rest of a refused frame is read and dropped."""

_quiet = logging.getLogger("uvicorn.error.sockets")
_quiet.setLevel(logging.WARNING)  # at INFO uvicorn logs a socket's query, which may hold a token

_NORMAL_CLOSE = Close(CloseCode.NORMAL_CLOSURE, "").serialize()


@lru_cache(maxsize=1)
def _frame_of(text: str) -> bytes:
    """Cached, as an event is sent to all the sockets of its job in a row."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


class _Peer(ServerProtocol):
    """The protocol's state machine, which never sends an empty Close frame."""

    def send_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE and not frame.data:
            frame = Frame(Opcode.CLOSE, _NORMAL_CLOSE)
        super().send_frame(frame)


class SocketProtocol(WebSocketsSansIOProtocol):
    """For `uvicorn.Config(ws=…)`, together with the rest of `SOCKET_OPTIONS`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _quiet
        self.conn = _Peer(max_size=config.ws_max_size, logger=_quiet)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            self.scope["state"]["write_now"] = self.write_now

    def write_now(self, text: str) -> bool:
        """Send a text frame directly, without ASGI's layers, if the client is connected and the connection
        takes more data. Returns whether it was sent; if not, `send` waits or raises."""
        if self.close_sent or self.disconnected or not self.writable.is_set() or self.transport.is_closing():
            return False
        self.transport.write(_frame_of(text))
        return True

    def data_received(self, data: bytes) -> None:
        if self.conn.parser_exc is None:
            super().data_received(data)
        # What follows a refused frame is dropped. It has to be read, because closing with unread bytes resets
        # the connection, and the client might not see the Close frame.

    def handle_parser_exception(self) -> None:
        assert self.conn.close_sent is not None
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": self.conn.close_sent.code, "reason": ""}
        )
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._abort_after(DISCARD_S)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()  # close() would wait until the silent peer reads what is still unsent

    async def send(self, message: Any) -> None:
        if self.close_sent:
            raise ClientDisconnected
        if message["type"] != "websocket.close":
            await super().send(message)
            if message["type"] == "websocket.accept":
                del self.response  # no longer needed; its headers take about 1 KiB
            return
        self.writable.set()  # do not wait for a slow reader before sending the Close frame
        await super().send(message)
        self._abort_after(CLOSE_S)

    def _abort_after(self, delay_s: float) -> None:
        """Unlike uvicorn's close() this also ends a connection whose peer has stopped reading."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(delay_s, self.transport.abort)


SOCKET_OPTIONS: dict[str, Any] = {
    "ws": SocketProtocol,
    "ws_max_size": MAX_FRAME_BYTES,
    "ws_ping_interval": PING_S,
    "ws_ping_timeout": PING_S,
    "ws_per_message_deflate": False,
}
"""Arguments for `uvicorn.Config`."""
