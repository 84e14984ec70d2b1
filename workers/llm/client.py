"""The HTTP client for model servers. It follows no redirects and limits the size of an answer."""

from collections.abc import AsyncIterator

import httpx2

from app.proxies import proxy_for
from workers.llm.endpoint import TimeLimits

MAX_BYTES = 64 * 1024 * 1024
"""The largest answer. In a stream a token takes about 300 bytes."""


def open_client(times: TimeLimits, url: str) -> httpx2.AsyncClient:
    """A client for the server at `url`. It follows no redirects: the key and the prompt are sent to the
    configured address only. Raises UnusableProxy."""
    return httpx2.AsyncClient(
        proxy=proxy_for(url),
        trust_env=False,
        verify=httpx2.create_ssl_context(),  # this does read SSL_CERT_FILE
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
    """Limit the answer. Compressed ones are refused, because a few bytes may expand to gigabytes."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise httpx2.RemoteProtocolError("a packed answer, which was not asked for")
    assert isinstance(response.stream, httpx2.AsyncByteStream), "it is of an asynchronous client"
    response.stream = _Bounded(response.stream)
