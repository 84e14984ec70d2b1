"""One HTTP request to an app in a box and its answer, both streamed. The app may be slow or hostile."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

import h11
from starlette.types import Receive, Scope, Send

from app.api.previews.headers import Pair, for_the_app, from_the_app, size_of_cookies
from app.domain.preview_origin import PreviewOrigin
from app.runtime.workspace import Stream

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_HEAD_BYTES = 32 * 1024
MAX_COOKIE_BYTES = 16 * 1024
"""Most servers that an app may be made with take no more."""

COOKIE_BYTES = 4096
"""The most of a single cookie. Without more a long head has another cause."""

MAX_INTERIM = 16
"""How many 1xx answers are skipped."""

ANSWER_S = 60.0
"""Seconds without progress before the answer begins."""

IDLE_S = 300.0
"""Seconds without progress inside an answer. Long, because streamed events may be rare."""

BREATH = 200
"""Parts of an answer that are handled before other tasks get a turn. A part may be a single byte."""

_NO_BODY = (204, 304)
TOO_LONG_A_HEAD = 431
_UNSENDABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

Touch = Callable[[], None]


class AppBroken(Exception):
    """The app's answer is not valid HTTP."""


class BodyTooLarge(Exception):
    """The client's body is larger than a preview takes."""


class CookiesTooLarge(Exception):
    """The app does not take so many cookies."""


@dataclass(frozen=True)
class Passing:
    """What of a request reaches the app: `headers` come from `for_the_app`. With `shared_site` other apps are
    on the same site."""

    headers: list[Pair]
    target: bytes
    shared_site: bool


async def pass_request(scope: Scope, receive: Receive, send: Send, stream: Stream, passing: Passing) -> None:
    """Pass the request on until the answer is complete or the client has left. Raises AppBroken,
    BodyTooLarge, CookiesTooLarge, TimeoutError, RuntimeProblem."""
    loop = asyncio.get_running_loop()
    wire = _Wire(stream)
    async with asyncio.timeout(ANSWER_S) as patience:

        def touch() -> None:
            patience.reschedule(loop.time() + (IDLE_S if wire.answering else ANSWER_S))

        await wire.begin(scope["method"], passing, scope)
        sending = asyncio.create_task(_upload(receive, wire, touch))
        answering = asyncio.create_task(_download(send, wire, passing, touch))
        try:
            done, _ = await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            for task in (answering, sending):
                if task in done:
                    task.result()
                    return
        finally:
            sending.cancel()
            answering.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)


def passing_of(scope: Scope, origin: PreviewOrigin) -> Passing:
    """What of this request to a preview reaches the app."""
    client = scope.get("client")
    headers = for_the_app(scope["headers"], client=client[0] if client else "", scheme=origin.scheme)
    return Passing(headers, request_target(scope), origin.is_shared)


def request_target(scope: Scope) -> bytes:
    path: bytes = scope["raw_path"] or b"/"
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


def sends_too_many_cookies(scope: Scope) -> bool:
    return size_of_cookies(scope["headers"]) > MAX_COOKIE_BYTES


def declared_too_large(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > MAX_BODY_BYTES:
            return True
    return False


class _Wire:
    """HTTP/1.1 over a stream into the box."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.answering = False

    async def begin(self, method: str, passing: Passing, scope: Scope) -> None:
        headers, framing = passing.headers, [(b"connection", b"close")]
        if any(name == b"transfer-encoding" for name, _ in scope["headers"]):
            headers = [(name, value) for name, value in headers if name != b"content-length"]
            framing.append((b"transfer-encoding", b"chunked"))
        try:
            request = h11.Request(method=method, target=passing.target, headers=[*headers, *framing])
        except h11.LocalProtocolError as error:
            raise AppBroken(f"this request cannot be passed on: {error}") from error
        await self.send(request)

    async def send(self, event: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        try:
            data = self._http.send(event)
        except h11.LocalProtocolError as error:
            raise AppBroken(str(error)) from error
        if data:
            await self._stream.write(data)

    def take(self) -> h11.Event | None:
        """The next event that was received; None when more has to be read."""
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise AppBroken(str(error)) from error
        if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            raise AppBroken("the app closed without an answer")
        return event if isinstance(event, h11.Event) else None

    async def more(self) -> None:
        try:
            self._http.receive_data(await self._stream.read())
        except h11.RemoteProtocolError as error:
            raise AppBroken(str(error)) from error


async def _upload(receive: Receive, wire: _Wire, touch: Touch) -> None:
    """Pass the body on, then wait until the client leaves."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        size += len(body)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge
        if body:
            await wire.send(h11.Data(data=body))
            touch()
    await wire.send(h11.EndOfMessage())
    while (await receive())["type"] != "http.disconnect":
        pass


async def _download(send: Send, wire: _Wire, passing: Passing, touch: Touch) -> None:
    await _head(send, wire, passing)
    wire.answering = True
    touch()
    handled = 0
    while True:
        parts = []
        while isinstance(event := wire.take(), h11.Data):
            parts.append(bytes(event.data))
            handled += 1
            if handled % BREATH == 0:
                await asyncio.sleep(0)
        over = isinstance(event, h11.EndOfMessage)
        if parts or over:
            await send({"type": "http.response.body", "body": b"".join(parts), "more_body": not over})
            touch()
        if over:
            return
        await wire.more()


async def _head(send: Send, wire: _Wire, passing: Passing) -> None:
    interim = 0
    while not isinstance(event := wire.take(), h11.Response):
        if event is None:
            await wire.more()
        elif (interim := interim + 1) > MAX_INTERIM:
            raise AppBroken("too many interim answers")
    status, headers = event.status_code, list(event.headers.raw_items())
    if status > 599 or any(_UNSENDABLE.search(value) for _, value in headers):
        raise AppBroken("an answer that cannot be passed on")
    if status == TOO_LONG_A_HEAD and size_of_cookies(passing.headers) > COOKIE_BYTES:
        raise CookiesTooLarge
    passed = from_the_app(headers, shared_site=passing.shared_site)
    if status in _NO_BODY or any(name.lower() == b"transfer-encoding" for name, _ in headers):
        passed = [(name, value) for name, value in passed if name != b"content-length"]
    await send({"type": "http.response.start", "status": status, "headers": passed})
