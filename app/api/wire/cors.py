"""Cross-origin rules, around everything that answers, so that errors of any kind carry the headers, too."""

from collections.abc import Callable, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = "GET, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-Request-ID"
EXPOSED = "Link, Retry-After, X-Request-ID, Idempotent-Replayed"
MAX_AGE_S = "600"


class Cors:
    """`origins` are the listed ones, which may also send credentials; None allows any origin, without
    credentials. Pages of previews (`is_preview`) are never allowed: agents wrote them."""

    def __init__(
        self, app: ASGIApp, origins: Iterable[str] | None, is_preview: Callable[[str], bool]
    ) -> None:
        self.app = app
        self._is_preview = is_preview
        self.origins = None if origins is None else frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        granted = self._granted(headers.get("origin"))
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await _answer_preflight(send, granted)
            return

        async def send_granted(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(granted)
            await send(message)

        await self.app(scope, receive, send_granted)

    def _granted(self, origin: str | None) -> dict[str, str]:
        headers = {"Vary": "Origin"}
        if origin is None or self._is_preview(origin):
            return headers
        if self.origins is None:
            headers["Access-Control-Allow-Origin"] = "*"
            headers["Access-Control-Expose-Headers"] = EXPOSED
        elif origin in self.origins:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Allow-Credentials"] = "true"
            headers["Access-Control-Expose-Headers"] = EXPOSED
        return headers


async def _answer_preflight(send: Send, granted: dict[str, str]) -> None:
    headers = MutableHeaders(headers=granted)
    if "access-control-allow-origin" in headers:
        headers["Access-Control-Allow-Methods"] = METHODS
        headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
        headers["Access-Control-Max-Age"] = MAX_AGE_S
    await send({"type": "http.response.start", "status": 204, "headers": headers.raw})
    await send({"type": "http.response.body", "body": b""})
