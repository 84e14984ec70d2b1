"""Cross-origin rules, around everything that answers, so that errors of any kind carry the headers, too."""

from collections.abc import Awaitable, Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.proxies import is_loopback

METHODS = "GET, POST, PUT, PATCH, DELETE"
REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, X-Request-ID"
EXPOSED = "Link, Retry-After, X-Request-ID, Idempotent-Replayed"
MAX_AGE_S = "600"

OPAQUE = "null"
"""The origin of sandboxed frames and of files: anybody's."""

_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})

Refuse = Callable[[Scope, Receive, Send], Awaitable[None]]


class Cors:
    """`origins` are the listed ones, which may also send credentials. None, the default in development,
    allows pages of this machine and of the host that the request itself is for, without credentials. Pages
    of previews (`is_preview`), which agents wrote, and pages without an origin are never allowed. A browser
    sends some of their requests without asking first, so `refuse` answers all that could change something.
    """

    def __init__(
        self,
        app: ASGIApp,
        origins: Iterable[str] | None,
        is_preview: Callable[[str], bool],
        refuse: Refuse,
    ) -> None:
        self.app = app
        self._is_preview = is_preview
        self._refuse = refuse
        self.origins = None if origins is None else frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        banned = origin is not None and self._is_banned(origin)
        granted = {"Vary": "Origin"}
        if origin is not None and not banned:
            granted |= self._granted(origin, headers.get("host", ""))
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await _answer_preflight(send, granted)
            return

        async def send_granted(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(granted)
            await send(message)

        answer = self._refuse if banned and scope["method"] not in _HARMLESS else self.app
        await answer(scope, receive, send_granted)

    def _is_banned(self, origin: str) -> bool:
        return origin.strip().lower() == OPAQUE or self._is_preview(origin)

    def _granted(self, origin: str, our_host: str) -> dict[str, str]:
        if self.origins is None:
            if not _is_near(origin, our_host):
                return {}
            return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
        if origin not in self.origins:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Expose-Headers": EXPOSED,
        }


def _is_near(origin: str, our_host: str) -> bool:
    """Whether an origin is on this machine, or on the host that was asked, whatever its port."""
    try:
        address, ours = urlsplit(origin), urlsplit(f"//{our_host}")
        host = address.hostname or ""
        return address.scheme in ("http", "https") and (is_loopback(host) or host == ours.hostname)
    except ValueError:
        return False


async def _answer_preflight(send: Send, granted: dict[str, str]) -> None:
    headers = MutableHeaders(headers=granted)
    if "access-control-allow-origin" in headers:
        headers["Access-Control-Allow-Methods"] = METHODS
        headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
        headers["Access-Control-Max-Age"] = MAX_AGE_S
    await send({"type": "http.response.start", "status": 204, "headers": headers.raw})
    await send({"type": "http.response.body", "body": b""})
