"""Routes of jobs: create, list, read, edit, delete; also a job's events and evidence."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from app.actions import jobs as actions
from app.api.deps import (
    MAX_BIGINT,
    MAX_PAGE,
    Caller,
    EvidenceId,
    Here,
    JobId,
    PageAsked,
    SignedInRoute,
    clamp,
    json_answer,
    link_next,
    list_answer,
    shape_answer,
)
from app.api.documented import refusals
from app.api.idempotent import IdempotentRoute, OnceAsked
from app.api.messages import MESSAGE, Message
from app.api.shapes import CHECK, COMMIT, JOB_ID, MESSAGE_ID, OTHER_ID, TICKET_ID, WHEN, Shape, example
from app.domain.errors import NOT_FOUND, Forbidden, NotFound
from app.domain.job import FailureCode, Status, Verification
from app.domain.stages import WaitingFor
from app.domain.ticket import Check, Phase
from app.domain.values import Prompt, Stamp
from app.store import jobs, tickets

PREFIX, TAGS = "/api/jobs", ["2 · Jobs"]
router = APIRouter(prefix=PREFIX, tags=[*TAGS], route_class=SignedInRoute)
keyed_router = APIRouter(prefix=PREFIX, tags=[*TAGS], route_class=IdempotentRoute)
"""Routes that take an `Idempotency-Key`."""


JOB = {
    "id": JOB_ID,
    "initial_prompt": "A reading list for a book club",
    "prompt": "A reading list for a book club",
    "requirements_summary": "",
    "status": "collecting",
    "error_message": "",
    "failure_code": None,
    "verification": None,
    "is_paused": False,
    "waiting_for": "",
    "created_at": WHEN,
    "updated_at": WHEN,
    "last_seq": 1,
    "usage": {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0, "model_calls": 0},
}
_STEP = {"id": OTHER_ID, "agent_name": "CTO", "message": "SQLite will do.", "order": 2, "created_at": WHEN}
EVENT = {
    "kind": "stageUpdate",
    "jobId": JOB_ID,
    "seq": 1,
    "timestamp": WHEN,
    "id": MESSAGE_ID,
    "role": "user",
    "sender": "Ada",
    "content": "A reading list for a book club",
    "metadata": {"stage": "requirements"},
}


class Usage(Shape):
    """What the job has used of language models up to now."""

    input_tokens: int
    output_tokens: int
    cost_usd: float
    model_calls: int


class Job(Shape):
    """`prompt` is `initial_prompt` until Client Relations has summed up the conversation, then the summary.
    `error_message` is empty unless the status is `failed`. `waiting_for` says what work waits for: the
    client's `answer`, a free `place` for its box, or a `model` that answers; empty if for nothing. `last_seq`
    is the number of the job's last event: use it as `?since=` of the socket."""

    model_config = example(**JOB)

    id: UUID
    initial_prompt: str
    prompt: str
    requirements_summary: str
    status: Status
    error_message: str
    failure_code: FailureCode | None
    verification: Verification | None
    is_paused: bool
    waiting_for: WaitingFor
    created_at: Stamp
    updated_at: Stamp
    last_seq: int
    usage: Usage


class Step(Shape):
    """One turn of the discussion between CEO, CTO and Secretary."""

    model_config = example(**_STEP)

    id: UUID
    agent_name: str
    message: str
    order: int
    created_at: Stamp


class JobDetail(Job):
    """A job with all its steps and messages, one snapshot."""

    model_config = example(**JOB, steps=[_STEP], messages=[MESSAGE])

    steps: list[Step]
    messages: list[Message]


class Purged(Shape):
    model_config = example(deleted=3)

    deleted: int


class Evidence(Shape):
    """One check that the service ran on `commit`. `run` is the number of the job's run, from 1. `phase` says
    why: `red` before work on the ticket, `run` on the commit at which the run began to build, if it passed
    before its ticket (if it passes there, too, it holds, but held before), `green` after the work,
    `regression` after a later ticket, `final` at the end, `bisect` to find the commit that broke it,
    `review` for the reviewer. With `screenshot` there is a picture of the page; of each check the last three
    are kept."""

    model_config = example(
        id=OTHER_ID,
        run=1,
        phase="green",
        ticket_id=TICKET_ID,
        criterion=0,
        check=CHECK,
        exit_code=None,
        passed=True,
        output_tail="200 OK",
        duration_ms=412,
        commit=COMMIT,
        screenshot=False,
        created_at=WHEN,
    )

    id: UUID
    run: int
    phase: Phase
    ticket_id: UUID | None
    criterion: int
    check: Check
    exit_code: int | None
    passed: bool
    output_tail: str
    duration_ms: int
    commit: str
    screenshot: bool
    created_at: Stamp


class NewJob(BaseModel):
    model_config = example(prompt="A reading list for a book club")

    prompt: Prompt


class Rewording(BaseModel):
    """Without `initial_prompt` nothing changes."""

    model_config = example(initial_prompt="A reading list for two book clubs")

    initial_prompt: Prompt | None = None


@keyed_router.post(
    "/",
    status_code=201,
    response_model=Job,
    responses=refusals("bad_json", "invalid", "idempotency_in_progress", "idempotency_mismatch"),
)
async def create_job(here: Here, caller: Caller, body: NewJob, once: OnceAsked) -> Response:
    """Create a job in status `collecting`. The prompt becomes the first message of its chat; the first reply
    of an agent follows on the socket."""
    job = await actions.create_job(here.resources, caller.user_id, caller.sender, body.prompt, once)
    return json_answer(job, 201)


@router.get("/", response_model=list[Job], responses=refusals("invalid"))
async def list_jobs(request: Request, here: Here, caller: Caller, page: PageAsked) -> Response:
    """All jobs of the user, newest first."""
    async with here.reads.open() as statements:
        return list_answer(request, await jobs.all_jobs(statements, caller.user_id, page), page)


@router.delete("/purge/", response_model=Purged, responses=refusals("purge_off"))
async def purge_jobs(here: Here, caller: Caller) -> Response:
    """Delete all jobs of the user. Only where `ALLOW_JOB_PURGE` is on (the default in development)."""
    if not here.job_purge:
        raise Forbidden("Purging jobs is switched off (ALLOW_JOB_PURGE).", code="purge_off")
    return shape_answer(Purged(deleted=await actions.purge_jobs(here.resources, caller.user_id)))


@router.get("/{job_id}/", response_model=JobDetail, responses=refusals("not_found"))
async def job_detail(here: Here, caller: Caller, job_id: JobId) -> Response:
    """A job with all its steps and messages, as one snapshot. Connect the socket with `?since=<last_seq>` to
    get every event after it."""
    async with here.reads.open() as statements:
        return json_answer(await jobs.detail(statements, caller.user_id, job_id))


@router.patch(
    "/{job_id}/", response_model=Job, responses=refusals("bad_json", "not_found", "conflict", "invalid")
)
async def edit_job(here: Here, caller: Caller, job_id: JobId, body: Rewording) -> Response:
    """Change the idea while the job is `collecting`. `prompt` changes with it; the chat stays as it is."""
    if body.initial_prompt is not None:
        await actions.edit_prompt(here.resources, caller.user_id, job_id, body.initial_prompt)
    async with here.reads.open() as statements:
        return json_answer(await jobs.job(statements, caller.user_id, job_id))


@router.delete("/{job_id}/", status_code=204, responses=refusals("not_found"))
async def delete_job(here: Here, caller: Caller, job_id: JobId) -> Response:
    """Delete a job with everything that belongs to it. Its run is cancelled at once; its container is removed
    in the background."""
    await actions.delete_job(here.resources, caller.user_id, job_id)
    return Response(status_code=204)


@router.get(
    "/{job_id}/events/",
    responses={
        200: {
            "description": "The events exactly as on the socket, in order. At most `limit` of them.",
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
    since: Annotated[int, Query(description="Only events whose `seq` is greater.", ge=0)] = 0,
    limit: Annotated[int, Query(description="How many at most, 1–1000 (clamped).")] = MAX_PAGE,
) -> Response:
    """The stored events of a job."""
    async with here.reads.open() as statements:
        found = await jobs.event_page(
            statements, caller.user_id, job_id, min(since, MAX_BIGINT), clamp(limit, 1, MAX_PAGE)
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
    """Every check that the service ran, with the commit it ran on and the result. Claims of agents are not
    evidence and are not listed."""
    async with here.reads.open() as statements:
        found = await tickets.evidence(statements, caller.user_id, job_id, page)
        if found.is_empty and not await jobs.exists(statements, caller.user_id, job_id):
            raise NotFound(NOT_FOUND)
    return list_answer(request, found, page)


@router.get(
    "/{job_id}/evidence/{evidence_id}/screenshot/",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}, "description": "The picture, of at most 512 KiB."},
        **refusals("not_found"),
    },
)
async def evidence_screenshot(here: Here, caller: Caller, job_id: JobId, evidence_id: EvidenceId) -> Response:
    """What the browser of a `page` check showed last."""
    async with here.reads.open() as statements:
        picture = await tickets.screenshot(statements, caller.user_id, job_id, evidence_id)
    if picture is None:
        raise NotFound(NOT_FOUND)
    # The page is an app's: whatever it has drawn, a browser may only show it as a picture.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'"}
    return Response(picture, media_type="image/jpeg", headers=headers)
