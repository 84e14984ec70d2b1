"""Doors of apps: what a job specified, and its PRD."""

from fastapi import APIRouter, Request, Response

from app.api.deps import Caller, Here, ItemId, JobId, PageAsked, SignedInRoute, json_answer, list_answer
from app.api.documented import refusals
from app.api.shapes import App
from app.domain.errors import NOT_FOUND, NotFound
from app.store import apps, jobs

router = APIRouter(prefix="/api/apps", tags=["6 · Apps and tickets"], route_class=SignedInRoute)


@router.get("/", response_model=list[App], responses=refusals("invalid"))
async def list_apps(request: Request, here: Here, caller: Caller, page: PageAsked) -> Response:
    """All my apps, newest first."""
    async with here.reads() as connection:
        return list_answer(request, await apps.all_apps(connection, caller.user_id, page), page)


@router.get(
    "/by-job/{job_id}/",
    response_model=App,
    responses={204: {"description": "There is none yet."}, **refusals("not_found")},
)
async def app_of_job(here: Here, caller: Caller, job_id: JobId) -> Response:
    """The app of a job; once `prdReady` was seen it is there."""
    async with here.reads() as connection:
        found = await apps.app_of(connection, caller.user_id, job_id)
        if found is None and not await jobs.exists(connection, caller.user_id, job_id):
            raise NotFound(NOT_FOUND)
    return Response(status_code=204) if found is None else json_answer(found)


@router.get("/{id}/", response_model=App, responses=refusals("not_found"))
async def one_app(here: Here, caller: Caller, app_id: ItemId) -> Response:
    """One app."""
    async with here.reads() as connection:
        return json_answer(await apps.app(connection, caller.user_id, app_id))
