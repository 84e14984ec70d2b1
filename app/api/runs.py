"""Routes of a job's run: start, continue, pause, resume, cancel, retry."""

from typing import Literal

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.actions import runs as actions
from app.api.deps import Caller, Here, JobId, SignedInRoute, json_answer, shape_answer
from app.api.documented import refusals
from app.api.idempotent import IdempotentRoute, OnceAsked
from app.api.jobs import JOB, Job
from app.api.shapes import Shape, example
from app.domain.job import Status
from app.domain.values import Prompt

PREFIX = "/api/jobs/{job_id}"
router = APIRouter(prefix=PREFIX, tags=["2 · Jobs"], route_class=SignedInRoute)
keyed_router = APIRouter(prefix=PREFIX, tags=["4 · Start, continue, retry"], route_class=IdempotentRoute)
"""Routes that take an `Idempotency-Key`."""

KEYED = ("not_found", "idempotency_in_progress", "invalid", "idempotency_mismatch")


class Continued(Shape):
    model_config = example(detail="Continuation queued.", job=JOB)

    detail: Literal["Continuation queued."]
    job: Job


class Held(Shape):
    """The answer of `pause/` and `resume/`."""

    model_config = example(detail="Paused.", is_paused=True, status="building")

    detail: str
    is_paused: bool
    status: Status


class Continuation(BaseModel):
    model_config = example(requirements="Add a CSV export.")

    requirements: Prompt


@keyed_router.post(
    "/start/", status_code=202, response_model=Job, responses=refusals("already_started", *KEYED)
)
async def start_job(here: Here, caller: Caller, job_id: JobId, once: OnceAsked) -> Response:
    """End the conversation: Client Relations asks nothing more, sums up, and the work begins."""
    return json_answer(await actions.start_now(here.resources, caller.user_id, job_id, once), 202)


@keyed_router.post(
    "/continue/",
    status_code=202,
    response_model=Continued,
    responses=refusals("bad_json", "job_running", "continuation_in_progress", "job_full", *KEYED),
)
async def continue_job(
    here: Here, caller: Caller, job_id: JobId, body: Continuation, once: OnceAsked
) -> Response:
    """Continue a finished or failed job with new requirements. Of several calls at the same time exactly one
    succeeds; the others get 409."""
    wish = body.requirements
    return json_answer(
        await actions.continue_job(here.resources, caller.user_id, caller.sender, job_id, wish, once), 202
    )


@keyed_router.post("/retry/", status_code=202, response_model=Job, responses=refusals("not_failed", *KEYED))
async def retry_job(here: Here, caller: Caller, job_id: JobId, once: OnceAsked) -> Response:
    """Run a failed job again from where it stopped. Stored answers of models are used again; failed tickets
    get a new attempt."""
    return json_answer(await actions.retry_job(here.resources, caller.user_id, job_id, once), 202)


@router.post("/pause/", response_model=Held, responses=refusals("not_found", "job_finished"))
async def pause_job(here: Here, caller: Caller, job_id: JobId) -> Response:
    """Pause the job. Chat messages sent meanwhile are stored and answered after `resume/`."""
    return _held(await actions.pause_job(here.resources, caller.user_id, job_id), "Paused.")


@router.post("/resume/", response_model=Held, responses=refusals("not_found", "job_finished"))
async def resume_job(here: Here, caller: Caller, job_id: JobId) -> Response:
    """Continue a paused job where it stopped."""
    return _held(await actions.resume_job(here.resources, caller.user_id, job_id), "Resumed.")


@router.post("/cancel/", status_code=202, response_model=Job, responses=refusals("not_found", "job_finished"))
async def cancel_job(here: Here, caller: Caller, job_id: JobId) -> Response:
    """End the run at once. The job becomes `failed` with `failure_code` `cancelled`."""
    return json_answer(await actions.cancel_job(here.resources, caller.user_id, job_id), 202)


def _held(job: bytes, detail: str) -> Response:
    found = orjson.loads(job)
    return shape_answer(Held(detail=detail, is_paused=found["is_paused"], status=found["status"]))
