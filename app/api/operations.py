"""Routes for whoever runs the service: health, readiness, metrics, and the documentation."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse

from app import metrics
from app.api.deps import Here, House, shape_answer
from app.api.documented import refusals
from app.api.readiness import examine
from app.api.shapes import Shape, example
from app.api.wire.page import NO_FRAMES, digest_of
from app.domain.errors import Forbidden
from app.proxies import is_loopback

router = APIRouter(tags=["8 · Operations"])

ASSETS = files("fastapi_offline") / "static"
"""Swagger UI from an installed package, so that `/docs` needs no network."""

ASSET_KINDS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


SCROLLING_TABLES = "<style>.swagger-ui .renderedMarkdown table { display: block; overflow-x: auto }</style>"
"""On a phone the tables scroll, not the page."""


class Health(Shape):
    model_config = example(status="ok")

    status: Literal["ok"]


class Part(Shape):
    ok: bool
    detail: str


class Readiness(Shape):
    """The status is 503, with the same body, when one of `checks` is not ok. `model` is the language
    model. In production each `detail` and `model` are empty, except for this machine itself and with
    `Authorization: Bearer <METRICS_TOKEN>`."""

    model_config = example(
        status="ready", checks={"database": {"ok": True, "detail": "answers"}}, model="rehearsal"
    )

    status: Literal["ready", "not_ready"]
    checks: dict[str, Part]
    model: str


@router.get("/healthz", summary="Liveness", response_model=Health)
async def healthz() -> Response:
    """200 as long as this process answers requests."""
    return shape_answer(Health(status="ok"))


@router.get(
    "/readyz",
    summary="Readiness",
    response_model=Readiness,
    responses={503: {"description": "A part is down.", "model": Readiness}},
)
async def readyz(request: Request, here: Here) -> Response:
    """Whether the database, Redis, the events, the boxes and a worker work. What does not is named."""
    states = await examine(here.probes)
    ready = all(state.ok for state in states.values())
    told = _is_operator(request, here)
    body = Readiness(
        status="ready" if ready else "not_ready",
        checks={
            name: Part(ok=state.ok, detail=state.detail if told else "") for name, state in states.items()
        },
        model=here.model if told else "",
    )
    return shape_answer(body, 200 if ready else 503)


@router.get(
    "/metrics",
    summary="Metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **refusals("operators_only", signed_in=False)},
)
async def metrics_text(request: Request, here: Here) -> Response:
    """Metrics in Prometheus' text format. In production only for this machine itself, or with
    `Authorization: Bearer <METRICS_TOKEN>`."""
    if not _is_operator(request, here):
        detail = "Metrics are for this machine itself, and for whoever sends METRICS_TOKEN as a Bearer token."
        raise Forbidden(detail, code="operators_only")
    return Response(await asyncio.to_thread(metrics.render), media_type=metrics.CONTENT_TYPE)


FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via")
"""Each says that a proxy asks for somebody else."""


def _is_operator(request: Request, here: House) -> bool:
    """Whether details of the service may be told: in development to all, in production to who asks from this
    machine, not through a proxy on it, and to who knows METRICS_TOKEN."""
    if here.details_open:
        return True
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    known = here.metrics_token and scheme.lower() == "bearer"
    if known and secrets.compare_digest(token.strip().encode(), here.metrics_token.encode()):
        return True
    if request.client is None or any(name in request.headers for name in FORWARDED):
        return False
    # Of a proxy that adds no such header this keeps out who asks by the name that we have outside; not who
    # makes up a name, so a proxy has to add one.
    asked = request.url.hostname or ""
    own = request.scope["server"][0]
    return all(is_loopback(host) or host == own for host in (request.client.host, asked))


@router.get("/", include_in_schema=False)
async def front() -> Response:
    return RedirectResponse("/docs", 307)


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=request.app.title,
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="/docs/favicon.png",
        swagger_ui_parameters={"persistAuthorization": True, "displayRequestDuration": True},
    )
    body = bytes(page.body).decode().replace("</head>", f"{SCROLLING_TABLES}</head>")
    return HTMLResponse(body, headers={"Content-Security-Policy": _policy_of(body)})


def _policy_of(page: str) -> str:
    """Swagger UI's page runs its own script and ours, and shows pictures that are written in its style."""
    scripts = [digest_of(each) for each in re.findall(r"<script>(.*?)</script>", page, re.DOTALL)]
    return (
        f"default-src 'none'; script-src 'self' {' '.join(scripts)}; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; "
        f"form-action 'none'; {NO_FRAMES}"
    )


def _asset(name: str, kind: str) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return FileResponse(str(ASSETS / name), media_type=kind, headers={"Cache-Control": "max-age=86400"})

    return answer


for _name, _kind in ASSET_KINDS.items():
    router.add_api_route(f"/docs/{_name}", _asset(_name, _kind), include_in_schema=False)
