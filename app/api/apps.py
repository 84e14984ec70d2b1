"""Routes of apps: the specification that a job made, and its PRD."""

from contextlib import suppress
from typing import Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Request, Response

from app.actions.previews import look
from app.api.deps import (
    Caller,
    Here,
    House,
    ItemId,
    JobId,
    PageAsked,
    SignedInRoute,
    json_answer,
    list_answer,
)
from app.api.documented import refusals
from app.api.shapes import JOB_ID, OTHER_ID, WHEN, Shape, example
from app.domain.errors import NOT_FOUND, NotFound, Unavailable
from app.domain.values import Stamp
from app.store import apps, jobs
from app.store.users import SignedIn

router = APIRouter(prefix="/api/apps", tags=["6 · Apps and tickets"], route_class=SignedInRoute)


class App(Shape):
    """`spec` holds at least `requirements`, `summary` and `discussion`."""

    model_config = example(
        id=OTHER_ID,
        job_id=JOB_ID,
        spec={
            "requirements": "R1: members add books",
            "summary": "A shared reading list.",
            "discussion": [{"agent": "CEO", "role": "chief executive", "content": "Keep it small."}],
        },
        prd_markdown="# Reading list",
        prd_generated_at=WHEN,
        created_at=WHEN,
        updated_at=WHEN,
    )

    id: UUID
    job_id: UUID
    spec: dict[str, Any]
    prd_markdown: str
    prd_generated_at: Stamp | None
    created_at: Stamp
    updated_at: Stamp


@router.get("/", response_model=list[App], responses=refusals("invalid"))
async def list_apps(request: Request, here: Here, caller: Caller, page: PageAsked) -> Response:
    """All apps of the user, newest first."""
    async with here.reads.open() as statements:
        return list_answer(request, await apps.all_apps(statements, caller.user_id, page), page)


@router.get(
    "/by-job/{job_id}/",
    response_model=App,
    responses={204: {"description": "There is none yet."}, **refusals("not_found")},
)
async def app_of_job(request: Request, here: Here, caller: Caller, job_id: JobId) -> Response:
    """The app of a job; it exists from the event `prdReady` on, before that the answer is 204. While the app
    runs and answers, `spec.frontend_url` is its address (the same as `preview_url` of
    `containers/status`)."""
    async with here.reads.open() as statements:
        found = await apps.app_of(statements, caller.user_id, job_id)
        if found is None and not await jobs.exists(statements, caller.user_id, job_id):
            raise NotFound(NOT_FOUND)
    return Response(status_code=204) if found is None else await _with_address(request, here, caller, found)


@router.get("/{id}/", response_model=App, responses=refusals("not_found"))
async def one_app(request: Request, here: Here, caller: Caller, app_id: ItemId) -> Response:
    """One app. `spec.frontend_url` is its address while it runs and answers."""
    async with here.reads.open() as statements:
        found = await apps.app(statements, caller.user_id, app_id)
    if found is None:
        raise NotFound(NOT_FOUND)
    return await _with_address(request, here, caller, found)


async def _with_address(request: Request, here: House, caller: SignedIn, found: bytes) -> Response:
    """The stored app with its preview address. Without a container engine the address is left out."""
    app = orjson.loads(found)
    with suppress(NotFound, Unavailable):
        _, offer = await look(here.resources, here.tokens, caller, UUID(app["job_id"]))
        if offer is not None:
            host = request.headers.get("host", "")
            app["spec"]["frontend_url"] = here.previews.url_for(offer.token, host)
            return json_answer(orjson.dumps(app))
    return json_answer(found)
