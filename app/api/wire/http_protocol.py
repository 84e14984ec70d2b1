"""uvicorn's HTTP protocol with limits that it lacks: for the size of a request's head, for the time without
progress in a request, and for the time in which a client reads nothing of an answer.

Bodies are limited where they are read (`body_limit`, `previews.exchange`).
"""

import asyncio
from enum import Enum, auto

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.api.wire.page import as_bytes, not_http, too_long, too_many_cookies

MAX_HEAD_BYTES = 64 * 1024
"""For the request line and headers (beyond the first read), for trailers, and for the framing of chunks."""

HEAD_S = 20.0
"""Seconds from the connection, or from the first byte of a later request, to the end of the head."""

BODY_S = 60.0
"""Seconds without a byte of a body that is not complete."""

LINGER_S = 5.0
"""Seconds in which the rest of a body is read and dropped, when the answer came before its end."""

UNREAD_S = 60.0
"""Seconds in which a client may read nothing of an answer. Such an answer keeps a box awake or rows in
memory."""

FRAMING = 16
"""Bytes of framing allowed for each byte of a body; a chunk of a single byte needs less."""

LONG_URL_BYTES = MAX_HEAD_BYTES // 2
"""A page can make a browser send a long address to us, and nothing else that is long. So a long head with a
shorter address than this is one of cookies."""

MAX_DROPPED_BYTES = 4 * 1024 * 1024
"""What a client may still send of a head that was refused. If it were not read, the connection would be
reset, and a browser would show nothing of the answer."""


class _Part(Enum):
    """The part of a request that is being received."""

    HEAD = auto()
    BODY = auto()


class HttpProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=…)`."""

    _part: _Part | None = None
    """None between requests."""
    _waited_for: _Part | None = None
    _patience: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _dropped: int | None = None
    """Bytes that came after a refusal; None before one."""
    _beside = 0
    """Bytes of the present part that do not belong to the body."""
    _body = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(_Part.HEAD, HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait(None)
        super().connection_lost(exc)
        self.resume_writing()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def data_received(self, data: bytes) -> None:
        if self._dropped is not None:
            self._dropped += len(data)
            if self._dropped > MAX_DROPPED_BYTES:
                self.transport.abort()
            return
        self._beside, self._body = self._beside + len(data), 0
        super().data_received(data)
        if self._part is None or self.transport.is_closing():
            self._wait(None)
        elif self._part is _Part.HEAD:
            if self._beside > MAX_HEAD_BYTES:
                self._refuse(as_bytes(too_many_cookies() if len(self.url) < LONG_URL_BYTES else too_long()))
            elif self._waited_for is not _Part.HEAD:
                self._wait(_Part.HEAD, HEAD_S)
        elif self._beside > MAX_HEAD_BYTES + FRAMING * self._body:
            self._refuse(b"")
        else:
            self._beside = max(0, self._beside - FRAMING * self._body)
            if not self.cycle.response_complete:
                self._wait(_Part.BODY, BODY_S)

    def on_message_begin(self) -> None:
        self._part, self._beside = _Part.HEAD, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._part, self._beside = _Part.BODY, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._part = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._part is _Part.BODY:
            self._wait(_Part.BODY, LINGER_S)

    def handle_websocket_upgrade(self) -> None:
        self._part = None
        super().handle_websocket_upgrade()

    def _wait(self, part: _Part | None, for_s: float = 0.0) -> None:
        """Close the connection if this part is not complete after `for_s` seconds. None waits for nothing."""
        if self._patience is not None:
            self._patience.cancel()
        self._waited_for = part
        self._patience = None if part is None else self.loop.call_later(for_s, self._too_late, part)

    def _too_late(self, part: _Part) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.flow.read_paused or (part is _Part.HEAD and answering):
            self._wait(part, BODY_S)  # the delay is ours, not the client's
        else:
            self.transport.close()

    def _refuse(self, answer: bytes) -> None:
        self._wait(None)
        answering = self.cycle is not None and not self.cycle.response_complete
        if not answer or answering:
            self.transport.close()
            return
        self._dropped = 0
        self.transport.write(answer)
        self.transport.write_eof()
        self._patience = self.loop.call_later(LINGER_S, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        self.transport.write(as_bytes(not_http(msg)))
        self.transport.close()
