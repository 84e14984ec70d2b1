"""The HTTP client for model servers. It follows no redirects, limits the size of an answer, and lets `chat`
mend what passes."""

import re
from collections.abc import AsyncIterator, Iterator

import httpx2
import orjson

from app.proxies import proxy_for
from workers.llm.chat import EXCHANGE, Exchange
from workers.llm.endpoint import TimeLimits

MAX_BYTES = 64 * 1024 * 1024
"""The largest answer. In a stream a token takes about 300 bytes."""

_END_OF_LINE = re.compile(rb"\r\n|\n|\r")


def open_client(times: TimeLimits, url: str) -> httpx2.AsyncClient:
    """A client for the server at `url`. It follows no redirects: the key and the prompt are sent to the
    configured address only. Raises UnusableProxy."""
    return httpx2.AsyncClient(
        proxy=proxy_for(url),
        trust_env=False,
        verify=httpx2.create_ssl_context(),  # this does read SSL_CERT_FILE
        timeout=httpx2.Timeout(None, connect=times.connect_s),
        headers={"Accept-Encoding": "identity"},
        event_hooks={"request": [_mend_request], "response": [_bound, _mend_response]},
    )


class _Bounded(httpx2.AsyncByteStream):
    """At most MAX_BYTES. A second iteration goes on where the first one is: iterating the library's own
    streams again after their end does not end."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream
        self._pieces = stream.__aiter__()
        self._left = MAX_BYTES
        self._ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._ended:
            try:
                piece = await anext(self._pieces)
            except StopAsyncIteration:
                self._ended = True
                return
            self._left -= len(piece)
            if self._left < 0:
                raise httpx2.RemoteProtocolError(f"more than {MAX_BYTES} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Events(httpx2.AsyncByteStream):
    """A stream of events, mended one after the other. What is no event of ours passes as it is."""

    def __init__(self, stream: _Bounded, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        rest = bytearray()
        searched = 0
        async for piece in self._stream:
            rest += piece
            lines = bytearray()
            start = 0
            for end in _END_OF_LINE.finditer(rest, searched):
                if end[0] == b"\r" and end.end() == len(rest):
                    break  # its other half may come with the next piece
                lines += b"".join(self._line(bytes(rest[start : end.start()])))
                start = end.end()
            del rest[:start]
            searched = max(len(rest) - 1, 0)
            if lines:
                yield bytes(lines)
        if rest:
            yield b"".join(self._line(bytes(rest)))

    def _line(self, line: bytes) -> Iterator[bytes]:
        name, _, data = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        if name == b"data":
            if data.strip() == b"[DONE]" and (missing := self._exchange.end()) is not None:
                yield b"data: " + orjson.dumps(missing) + b"\n\n"
            elif (event := _object(data)) is not None:
                line = b"data: " + orjson.dumps(self._exchange.event(event))
        yield line + b"\n"


class _Whole(httpx2.AsyncByteStream):
    """An answer in one piece; as an event if a stream was asked for."""

    def __init__(self, stream: _Bounded, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = b"".join([piece async for piece in self._stream])
        answer = _object(body)
        if answer is None or not answer.get("choices"):
            yield body
        elif self._exchange.streams:
            yield b"data: " + orjson.dumps(self._exchange.as_event(answer)) + b"\n\ndata: [DONE]\n\n"
        else:
            yield orjson.dumps(self._exchange.whole(answer))


def _object(text: bytes) -> dict[str, object] | None:
    """The JSON object; None if it is none, or too deep: then the library says what is wrong with it."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


async def _mend_request(request: httpx2.Request) -> None:
    exchange = EXCHANGE.get()
    body = _object(await request.aread()) if exchange is not None else None
    if exchange is None or body is None:
        return
    content = orjson.dumps(exchange.request(body))
    exchange.size = len(content)
    request.stream = httpx2.ByteStream(content)
    request.headers["Content-Length"] = str(len(content))


async def _bound(response: httpx2.Response) -> None:
    """Limit the answer. Compressed ones are refused, because a few bytes may expand to gigabytes."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx2.RemoteProtocolError("a packed answer, which was not asked for")
    assert isinstance(response.stream, httpx2.AsyncByteStream), "it is of an asynchronous client"
    response.stream = _Bounded(response.stream)


async def _mend_response(response: httpx2.Response) -> None:
    exchange = EXCHANGE.get()
    if exchange is None or response.status_code != 200:
        return
    assert isinstance(response.stream, _Bounded), "it was bounded first"
    if response.headers.get("Content-Type", "").startswith("application/json"):
        response.stream = _Whole(response.stream, exchange)
    elif exchange.streams:
        response.stream = _Events(response.stream, exchange)
