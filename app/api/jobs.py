"""Doors of jobs: make, list, look at, reword, delete, and read the log and the evidence."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from app.actions import jobs as actions
from app.api.deps import (
    BIGGEST,
    MAX_PAGE,
    Caller,
    Here,
    JobId,
    PageAsked,
    SignedInRoute,
    clamp,
    json_answer,
    link_next,
    list_answer,
)
from app.api.documented import refusals
from app.api.idempotent import IdempotentRoute, OnceAsked
from app.api.shapes import EVENT, Evidence, Job, JobDetail, Purged, example
from app.domain.errors import NOT_FOUND, Forbidden, NotFound
from app.domain.values import Prompt
from app.store import jobs, tickets

PREFIX, TAGS = "/api/jobs", ["2 · Jobs"]
router = APIRouter(prefix=PREFIX, tags=[*TAGS], route_class=SignedInRoute)
once = APIRouter(prefix=PREFIX, tags=[*TAGS], route_class=IdempotentRoute)


class NewJob(BaseModel):
    model_config = example(prompt="A reading list for a book club")

    prompt: Prompt


class Rewording(BaseModel):
    """An absent `initial_prompt` changes nothing."""

    model_config = example(initial_prompt="A reading list for two book clubs")

    initial_prompt: Prompt | None = None


@once.post(
    "/",
    status_code=201,
    response_model=Job,
    responses=refusals("bad_json", "invalid", "idempotency_in_progress", "idempotency_mismatch"),
)
async def create_job(here: Here, caller: Caller, body: NewJob, once: OnceAsked) -> Response:
    """A new job, `collecting`. The prompt is the first message of its chat; the first reply is on its way."""
    job = await actions.create_job(here.resources, caller.user_id, caller.sender, body.prompt, once)
    return json_answer(job, 201)


@router.get("/", response_model=list[Job], responses=refusals("invalid"))
async def list_jobs(request: Request, here: Here, caller: Caller, page: PageAsked) -> Response:
    """All my jobs, newest first."""
    async with here.reads.connection() as connection:
        return list_answer(request, await jobs.all_jobs(connection, caller.user_id, page), page)


@router.delete("/purge/", response_model=Purged, responses=refusals("purge_off"))
async def purge_jobs(here: Here, caller: Caller) -> Response:
    """Delete all my jobs. For development: `ALLOW_JOB_PURGE`."""
    if not here.job_purge:
        raise Forbidden("Purging jobs is switched off (ALLOW_JOB_PURGE).", code="purge_off")
    return json_answer(orjson.dumps({"deleted": await actions.purge_jobs(here.resources, caller.user_id)}))


@router.get("/{job_id}/", response_model=JobDetail, responses=refusals("not_found"))
async def job_detail(here: Here, caller: Caller, job_id: JobId) -> Response:
    """A job with its steps and messages, one snapshot: connect the socket with `?since=<last_seq>`."""
    async with here.reads.connection() as connection:
        return json_answer(await jobs.detail(connection, caller.user_id, job_id))


@router.patch(
    "/{job_id}/", response_model=Job, responses=refusals("bad_json", "not_found", "conflict", "invalid")
)
async def edit_job(here: Here, caller: Caller, job_id: JobId, body: Rewording) -> Response:
    """Reword the idea while `collecting`; `prompt` is mirrored, the chat stays as it was."""
    if body.initial_prompt is not None:
        await actions.edit_prompt(here.resources, caller.user_id, job_id, body.initial_prompt)
    async with here.reads.connection() as connection:
        return json_answer(await jobs.job(connection, caller.user_id, job_id))


@router.delete("/{job_id}/", status_code=204, responses=refusals("not_found"))
async def delete_job(here: Here, caller: Caller, job_id: JobId) -> Response:
    """Delete a job with all it has. Its work is cancelled, its container goes in the background."""
    await actions.delete_job(here.resources, caller.user_id, job_id)
    return Response(status_code=204)


@router.get(
    "/{job_id}/events/",
    responses={
        200: {
            "description": "The events as on the socket, in order; always a page.",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "array",
                        "items": {"type": "object", "required": ["kind", "jobId", "seq", "timestamp"]},
                    },
                    "example": [EVENT],
                }
            },
        },
        **refusals("not_found", "invalid"),
    },
)
async def job_events(
    request: Request,
    here: Here,
    caller: Caller,
    job_id: JobId,
    since: Annotated[int, Query(description="Only events with a higher number.", ge=0)] = 0,
    limit: Annotated[int, Query(description="At most so many, 1–1000 (clamped).")] = MAX_PAGE,
) -> Response:
    """The job's log, as a socket was told it."""
    async with here.reads.connection() as connection:
        found = await jobs.event_page(
            connection, caller.user_id, job_id, min(since, BIGGEST), clamp(limit, 1, MAX_PAGE)
        )
    if found is None:
        raise NotFound(NOT_FOUND)
    body, last = found
    answer = json_answer(body)
    if last is not None:
        link_next(request, answer, "since", str(last))
    return answer


@router.get("/{job_id}/evidence/", response_model=list[Evidence], responses=refusals("not_found", "invalid"))
async def job_evidence(
    request: Request, here: Here, caller: Caller, job_id: JobId, page: PageAsked
) -> Response:
    """Every check the service ran, on the commit it names; nothing that an agent merely said."""
    async with here.reads.connection() as connection:
        found = await tickets.evidence(connection, caller.user_id, job_id, page)
        if found.is_empty and not await jobs.exists(connection, caller.user_id, job_id):
            raise NotFound(NOT_FOUND)
    return list_answer(request, found, page)
