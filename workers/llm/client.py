"""The HTTP client to a model's server: it goes where it was sent and nowhere else, and reads no more than an
answer can be."""

from collections.abc import AsyncIterator

import httpx2

from workers.llm.endpoint import TimeLimits

MAX_BYTES = 64 * 1024 * 1024
"""Of one answer. A piece of a stream is some 300 bytes for a token."""


def open_client(times: TimeLimits) -> httpx2.AsyncClient:
    """Without redirects: what is asked is for the address that was given, and so is the key."""
    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(None, connect=times.connect_s),
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_bound]},
    )


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_BYTES
        async for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise httpx2.RemoteProtocolError(f"more than {MAX_BYTES} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx2.Response) -> None:
    """A few packed bytes may be gigabytes, so there are none."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx2.RemoteProtocolError("a packed answer, which was not asked for")
    assert isinstance(response.stream, httpx2.AsyncByteStream), "it is of an asynchronous client"
    response.stream = _Bounded(response.stream)
