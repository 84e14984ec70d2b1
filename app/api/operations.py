"""Routes for whoever runs the service: health, readiness, metrics, and the documentation."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse

from app import metrics
from app.api.deps import Here, shape_answer
from app.api.readiness import examine
from app.api.shapes import Shape, example

router = APIRouter(tags=["8 · Operations"])

ASSETS = files("fastapi_offline") / "static"
"""Swagger UI from an installed package, so that `/docs` needs no network."""

ASSET_KINDS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


SCROLLING_TABLES = b"<style>.swagger-ui .renderedMarkdown table { display: block; overflow-x: auto }</style>"
"""On a phone the tables scroll, not the page."""


class Health(Shape):
    model_config = example(status="ok")

    status: Literal["ok"]


class Part(Shape):
    ok: bool
    detail: str


class Readiness(Shape):
    """The status is 503, with the same body, when one of `checks` is not ok. `model` is the language
    model."""

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
async def readyz(here: Here) -> Response:
    """Whether the database, Redis, the events, the boxes and a worker work. What does not is named."""
    states = await examine(here.probes)
    ready = all(state.ok for state in states.values())
    body = Readiness(
        status="ready" if ready else "not_ready",
        checks={name: Part(ok=state.ok, detail=state.detail) for name, state in states.items()},
        model=here.model,
    )
    return shape_answer(body, 200 if ready else 503)


@router.get(
    "/metrics", summary="Metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}}
)
async def metrics_text() -> Response:
    """Metrics in Prometheus' text format."""
    return Response(await asyncio.to_thread(metrics.render), media_type=metrics.CONTENT_TYPE)


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
    return HTMLResponse(bytes(page.body).replace(b"</head>", SCROLLING_TABLES + b"</head>"))


def _asset(name: str, kind: str) -> Callable[[], Awaitable[Response]]:
    async def answer() -> Response:
        return FileResponse(str(ASSETS / name), media_type=kind, headers={"Cache-Control": "max-age=86400"})

    return answer


for _name, _kind in ASSET_KINDS.items():
    router.add_api_route(f"/docs/{_name}", _asset(_name, _kind), include_in_schema=False)
