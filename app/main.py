"""The web process: builds the application from its routers and serves it. `python -m app.main --help`."""

import gc

if __name__ == "__main__":
    gc.disable()  # while it is loaded: none of it is garbage, and somebody waits for the start

import argparse
import asyncio
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from types import FrameType
from typing import Any

import orjson
import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp

from app.actions.app_data import Copying
from app.api.body_limit import BodyLimit
from app.api.deps import House
from app.api.description import TAGS, TEXT
from app.api.documented import openapi_of
from app.api.envelope import Envelope
from app.api.errors import handle_errors, refuse_foreign_origin
from app.api.previews.door import PreviewDoor, PreviewGate
from app.api.readiness import Remembered
from app.api.router import ROUTERS
from app.api.sockets.door import SocketDoor
from app.api.throttle import Throttle
from app.api.wire.cors import OPAQUE, Cors
from app.api.wire.http_protocol import HttpProtocol
from app.api.wire.spelling import Spelling
from app.api.wire.websocket_protocol import SOCKET_OPTIONS
from app.auth.tokens import Tokens
from app.bootstrap import (
    NotConfigured,
    make_hub,
    open_probes,
    open_resources,
    require_configured,
)
from app.domain.preview_origin import PreviewOrigin
from app.embedded.late import await_environment
from app.embedded.lifeline import watch_parent
from app.logs import configure_logs
from app.settings import BadSettings, Settings, load_settings
from app.store.statements import open_statements
from app.store.usable import UnusableDatabase, require_usable_if_there

GRACE_S = 8
"""How long running requests may still take when the process is asked to stop."""

BOX_EXAMINED_S = 60.0
"""How long `/readyz` keeps the result of its test whether a box can be made."""

DATABASE_EXAMINED_S = 1.0
"""The same for its test whether PostgreSQL has room: everybody may ask, and the test writes."""

SOCKETS_WITHOUT_QUERY = (
    "Browser clients on another origin that know only ?token= cannot open a socket: ALLOW_WS_TOKEN_QUERY."
)

log = structlog.get_logger()


class Boardroom(FastAPI):
    """The application. Its own middleware is outermost, so that every answer passes it, also our errors."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            title="Boardroom",
            version="0.1.0",
            description=TEXT,
            openapi_tags=TAGS,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            strict_content_type=False,
            lifespan=_serving,
        )
        self.settings = settings
        self.previews = PreviewOrigin(settings.preview_origin)
        for router in ROUTERS:
            for route in router.routes:
                if isinstance(route, APIRoute):
                    route.unique_id = route.name  # the `operationId` in the OpenAPI document
            # Not `include_router`: then every request would search the routers one after the other.
            self.router.routes.extend(router.routes)
        handle_errors(self)

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = openapi_of(self)
        return self.openapi_schema

    def build_middleware_stack(self) -> ASGIApp:
        paths = [getattr(route, "path", "") for router in ROUTERS for route in router.routes]
        inner = Spelling(BodyLimit(super().build_middleware_stack()), [*paths, "/openapi.json"])
        ours = Envelope(Cors(inner, self.settings.origins, self.previews.holds_origin, refuse_foreign_origin))
        return PreviewGate(ours, self.previews, self.state)


def create_app(settings: Settings) -> FastAPI:
    """The application. It opens its connections when the server starts it."""
    return Boardroom(settings)


@asynccontextmanager
async def _serving(app: FastAPI) -> AsyncIterator[None]:
    assert isinstance(app, Boardroom)
    settings = app.settings
    tokens = Tokens(_secret(settings), access_s=settings.access_token_minutes * 60)
    if not settings.ws_token_query:
        log.info("sockets.token_query_off", detail=SOCKETS_WITHOUT_QUERY)
    async with AsyncExitStack() as later:
        resources = await later.enter_async_context(open_resources(settings))
        probes = await later.enter_async_context(open_probes(settings, resources))
        reads = await later.enter_async_context(open_statements(settings.database_url, read_only=True))
        hub = make_hub(settings, resources)
        app.state.house = House(
            resources=resources,
            reads=reads,
            tokens=tokens,
            throttle=Throttle(),
            registration=settings.may_register,
            refresh_reuse=timedelta(seconds=settings.refresh_reuse_seconds),
            job_purge=settings.job_purge,
            model=settings.model,
            limits=settings.limits,
            metrics_token=settings.metrics_token.get_secret_value(),
            details_open=not settings.production,
            probes={
                **probes,
                "database": Remembered(probes["database"], DATABASE_EXAMINED_S),
                "events": hub.probe,
                "box": Remembered(probes["box"], BOX_EXAMINED_S),
            },
            previews=app.previews,
            copying=Copying(settings.data_copy_bytes),
        )
        app.state.previews = PreviewDoor(app.previews, reads, resources.runtime)
        await later.enter_async_context(app.state.previews.open())
        app.state.sockets = SocketDoor(
            resources,
            reads,
            tokens,
            hub,
            token_query=settings.ws_token_query,
            origins=_without_previews(settings.origins, app.previews),
        )
        await later.enter_async_context(app.state.sockets.open())
        yield


def _without_previews(origins: frozenset[str] | None, previews: PreviewOrigin) -> frozenset[str] | None:
    """The listed origins without those of previews, whose code is written by agents, and without `null`."""
    return origins and frozenset(
        each for each in origins if each.lower() != OPAQUE and not previews.holds_origin(each)
    )


def _secret(settings: Settings) -> str:
    given = settings.secret_key.get_secret_value()
    if not given:
        log.warning("secret_key.missing", detail="SECRET_KEY is not set: sessions end with this process.")
    return given or secrets.token_urlsafe(48)


def server_config(app: FastAPI, settings: Settings, descriptor: int | None = None) -> uvicorn.Config:
    """How uvicorn serves `app`: on the inherited listening socket `descriptor`, or on HOST and PORT."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        fd=descriptor,
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        http=HttpProtocol,
        **SOCKET_OPTIONS,
    )


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m app.main", description="Boardroom's web process.")
    parser.add_argument("--fd", type=int, help="a listening socket inherited from the supervisor")
    parser.add_argument("--openapi", action="store_true", help="print the OpenAPI document and end")
    arguments = parser.parse_args()
    await_environment()
    try:
        settings = load_settings()
        app = create_app(settings)
        if arguments.openapi:
            sys.stdout.buffer.write(orjson.dumps(app.openapi(), option=orjson.OPT_INDENT_2) + b"\n")
            return
        require_configured(settings)
        asyncio.run(require_usable_if_there(settings.database_url))
    except (BadSettings, NotConfigured, UnusableDatabase) as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(2)
    watch_parent()
    configure_logs(production=settings.production)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stopped)
    gc.freeze()  # everything loaded so far lives as long as the process: the collector can skip it
    gc.enable()
    uvicorn.Server(server_config(app, settings, arguments.fd)).run()


def _stopped(number: int, frame: FrameType | None) -> None:
    """After a clean stop uvicorn raises the signal again; by then there is nothing left to do."""


if __name__ == "__main__":
    main()
