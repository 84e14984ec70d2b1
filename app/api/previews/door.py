"""Requests to the hosts of previews: all of them go to the app in the box, none to a route of ours."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog
from starlette.datastructures import State
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from websockets.frames import CloseCode

from app import metrics
from app.actions.previews import digest_of
from app.api.background import kept_up
from app.api.previews import pages
from app.api.previews.boxes import PreviewBoxes
from app.api.previews.exchange import (
    AppBroken,
    BodyTooLarge,
    CookiesTooLarge,
    declared_too_large,
    pass_request,
    passing_of,
    request_target,
    sends_too_many_cookies,
)
from app.api.previews.websocket import pass_socket
from app.api.wire.page import too_many_cookies
from app.domain.errors import Refusal, Unavailable
from app.domain.preview_origin import PreviewOrigin
from app.runtime.live_app import AppHeld
from app.runtime.runtime import Runtime
from app.runtime.workspace import BoxDied, RuntimeProblem, Workspace, WorkspaceMissing
from app.store.previews import Seen, find, still_valid
from app.store.statements import StatementPool

MAX_OPEN = 64
"""Open requests and sockets per preview and process."""

CHECK_S = 2.0
"""How often the addresses of open exchanges are checked. A logout has to end them within 5 s."""

DIAL_S = 10.0

log = structlog.get_logger()


class PreviewGate:
    """Outermost middleware: requests to a preview's host go to `state.previews`, the `PreviewDoor`; all
    others to the application."""

    def __init__(self, app: ASGIApp, origin: PreviewOrigin, state: State) -> None:
        self.app = app
        self._origin = origin
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if any(map(self._origin.holds, hosts)):
                door: PreviewDoor = self._state.previews
                await door.serve(scope, receive, send, hosts)
                return
        await self.app(scope, receive, send)


class PreviewDoor:
    """Passes requests to apps in boxes. Open while the process serves."""

    def __init__(self, origin: PreviewOrigin, reads: StatementPool, runtime: Runtime) -> None:
        self._origin = origin
        self._reads = reads
        self._boxes = PreviewBoxes(runtime)
        self._open: dict[asyncio.Task[Response | None], bytes] = {}
        self._count: Counter[bytes] = Counter()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        try:
            async with kept_up("preview watch", self._watch):
                yield
        finally:
            await self._boxes.close()

    async def serve(self, scope: Scope, receive: Receive, send: Send, hosts: list[str]) -> None:
        """Answer with what the app answers, or with a page of ours if there is none."""
        answer = _Answer(send)
        host = hosts[0] if len(hosts) == 1 else ""
        try:
            former = self._origin.former_token_of(host)
            if former and scope["type"] == "http":
                page: Response | None = self._lead_on(scope, former, host)
            else:
                page = await self._exchange(scope, receive, answer, self._origin.token_of(host))
            if page is not None and not answer.begun:
                await page(scope, receive, answer)
            elif scope["type"] == "websocket" and not answer.over:
                await send({"type": "websocket.close", "code": CloseCode.GOING_AWAY})
            # An HTTP answer that broke off stays unfinished: the server then closes the connection, and the
            # client sees that something is missing.
        finally:
            metrics.preview_requests.labels(answer.status).inc()

    def _lead_on(self, scope: Scope, token: str, host: str) -> Response:
        """From an address of an earlier version to the one that the app has now."""
        where = self._origin.url_for(token, host) + request_target(scope).decode("latin-1")
        return pages.moved(where)

    async def _exchange(
        self, scope: Scope, receive: Receive, answer: "_Answer", token: str | None
    ) -> Response | None:
        """Pass the exchange to the app. Returns a page of ours if that did not work, None if it did."""
        if token is None:
            return pages.void()
        digest = digest_of(token)
        try:
            async with self._reads.open() as statements:
                seen = await find(statements, digest)
        except Unavailable:
            return pages.unavailable()
        if seen is None:
            return pages.void()
        if self._count[digest] >= MAX_OPEN:
            return pages.too_many()
        if declared_too_large(scope):
            return pages.too_large()
        if sends_too_many_cookies(scope):
            return too_many_cookies()
        try:
            return await self._cuttable(digest, self._pass_on(scope, receive, answer, seen))
        except (TimeoutError, AppBroken, BodyTooLarge, CookiesTooLarge, RuntimeProblem) as problem:
            log.info("preview.problem", job=str(seen.job_id), problem=f"{type(problem).__name__}: {problem}")
            return _page_for(problem)

    async def _cuttable(
        self, digest: bytes, exchange: Coroutine[Any, Any, Response | None]
    ) -> Response | None:
        """Run an exchange that `_watch` can cancel when its address becomes invalid."""
        task = asyncio.create_task(exchange)
        self._open[task] = digest
        self._count[digest] += 1
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            del self._open[task]
            self._count[digest] -= 1
            if not self._count[digest]:
                del self._count[digest]
        return pages.void() if task.cancelled() else task.result()

    async def _pass_on(
        self, scope: Scope, receive: Receive, answer: "_Answer", seen: Seen
    ) -> Response | None:
        async with self._boxes.use(seen.job_id) as workspace:
            try:
                return await self._pass_to(workspace, scope, receive, answer, seen)
            except BoxDied:
                await self._boxes.drop(seen.job_id, workspace)
                raise

    async def _pass_to(
        self, workspace: Workspace, scope: Scope, receive: Receive, answer: "_Answer", seen: Seen
    ) -> Response | None:
        app = await workspace.app_status()
        if app.began == seen.app_began and app.held:
            return pages.just_a_moment()
        if app.began != seen.app_began or app.port is None:
            return pages.void()
        if app.state == "died":
            return pages.died(app.exit_code, app.log_tail)
        try:
            async with asyncio.timeout(DIAL_S):
                stream = await workspace.dial(app.port, lasting=scope["type"] == "websocket")
        except AppHeld:
            return pages.just_a_moment()
        except Refusal:
            return pages.starting()
        pass_it = pass_socket if scope["type"] == "websocket" else pass_request
        try:
            await pass_it(scope, receive, answer, stream, passing_of(scope, self._origin))
        except AppHeld:
            return pages.just_a_moment()
        finally:
            await stream.close()
        return None

    async def _watch(self) -> None:
        """Cancel open exchanges whose address has become invalid."""
        while True:
            await asyncio.sleep(CHECK_S)
            digests = set(self._open.values())
            if not digests:
                continue
            try:
                async with self._reads.open() as statements:
                    void = digests - await still_valid(statements, digests)
            except Unavailable:
                continue  # without the database nobody can log out either
            for task, digest in self._open.items():
                if digest in void:
                    task.cancel()


def _page_for(problem: Exception) -> Response:
    match problem:
        case TimeoutError():
            return pages.too_slow()
        case BodyTooLarge():
            return pages.too_large()
        case CookiesTooLarge():
            return too_many_cookies()
        case WorkspaceMissing() | BoxDied():
            return pages.void()
        case RuntimeProblem():
            return pages.unavailable()
    return pages.broken()


class _Answer:
    """Wraps `send` and remembers whether an answer was begun, with which status, and whether it is
    complete."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False
        self.over = False
        self.status = 499
        """Stays if the client leaves before an answer begins."""

    async def __call__(self, message: Message) -> None:
        match message["type"]:
            case "http.response.start" | "websocket.http.response.start":
                self.begun, self.status = True, message["status"]
            case "websocket.accept":
                self.begun, self.status = True, 101
            case "websocket.close":
                self.over = True
            case "websocket.http.response.body":
                self.over = not message.get("more_body", False)
        await self._send(message)
