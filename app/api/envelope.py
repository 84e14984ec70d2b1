"""What every request gets: an id, headers against caching and misuse, a line in the log, and a count in the
metrics."""

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import metrics
from app.api.wire.page import GUARDS
from app.logs import log_request

_VALID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
"""Called every few seconds by machines: counted, but not logged."""


def request_id(scope: Scope) -> str:
    """The id of the request that is being answered."""
    found: str = scope["boardroom.request_id"]
    return found


class Envelope:
    """The id is the client's `X-Request-ID` if that is a plain word. Sockets get an id, too; they log by
    themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        ident = given if _VALID.fullmatch(given) else uuid4().hex
        scope["boardroom.request_id"] = ident
        with structlog.contextvars.bound_contextvars(request_id=ident):
            if scope["type"] == "http":
                await self._answer(scope, receive, send, ident)
            else:
                await self.app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, ident: str) -> None:
        began = time.perf_counter()
        path = scope["raw_path"].decode("latin-1")
        status = 499  # stays if the client leaves before an answer begins

        async def send_stamped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = ident
                for name, value in GUARDS.items():
                    headers.setdefault(name, value)
                if path.startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self.app(scope, receive, send_stamped)
        finally:
            took = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "")
            metrics.requests.labels(scope["method"], route, status).inc()
            metrics.request_seconds.labels(route).observe(took)
            if path not in _QUIET:
                log_request(scope["method"], path, status, took * 1000, ident)
