"""Routes of a job's use of language models and of its budget."""

from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.actions import budgets as actions
from app.api.deps import Caller, Here, JobId, SignedInRoute, json_answer
from app.api.documented import refusals
from app.api.shapes import TICKET_ID, Shape, example
from app.store import usage

router = APIRouter(prefix="/api/jobs/{job_id}", tags=["2 · Jobs"], route_class=SignedInRoute)

_SUMS = {
    "attempts": 12,
    "model_calls": 11,
    "input_tokens": 48210,
    "cached_tokens": 30500,
    "cache_write_tokens": 9100,
    "output_tokens": 6120,
    "cost_usd": 0.21,
}


class Sums(Shape):
    """`attempts` counts all requests, also failed ones. Of `input_tokens`, `cached_tokens` were read from the
    provider's cache and `cache_write_tokens` were stored there."""

    attempts: int
    model_calls: int
    input_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_usd: float


class RoleUsage(Sums):
    model_config = example(role="Builder", model="openai:gpt-5", **_SUMS)

    role: str
    model: str


class TicketUsage(Sums):
    model_config = example(ticket_id=TICKET_ID, title="Show the list", **_SUMS)

    ticket_id: str
    title: str


class UsageDetail(Shape):
    """`reserved_tokens` is reserved for the request that is running. The budgets are the job's own, or the
    service's where the job has none or more; null means no limit."""

    model_config = example(
        input_tokens=48210,
        output_tokens=6120,
        cost_usd=0.21,
        model_calls=11,
        reserved_tokens=0,
        token_budget=5000000,
        cost_budget_usd=None,
        by_role=[{"role": "Builder", "model": "openai:gpt-5", **_SUMS}],
        by_ticket=[{"ticket_id": TICKET_ID, "title": "Show the list", **_SUMS}],
    )

    input_tokens: int
    output_tokens: int
    cost_usd: float
    model_calls: int
    reserved_tokens: int
    token_budget: int | None
    cost_budget_usd: float | None
    by_role: list[RoleUsage]
    by_ticket: list[TicketUsage]


class Budget(BaseModel):
    """Absent fields stay as they are. Neither may be more than the service's own limit."""

    model_config = example(token_budget=3000000)

    token_budget: Annotated[int, Field(ge=1, le=10**12)] | None = None
    cost_budget_usd: Annotated[float, Field(gt=0, le=10**6, allow_inf_nan=False)] | None = None


@router.get("/usage/", response_model=UsageDetail, responses=refusals("not_found"))
async def job_usage(here: Here, caller: Caller, job_id: JobId) -> Response:
    """What the job has used of language models up to now, by role and by ticket."""
    async with here.reads.open() as statements:
        return json_answer(await usage.usage(statements, caller.user_id, job_id, here.limits))


@router.post(
    "/budget/",
    response_model=UsageDetail,
    responses=refusals("bad_json", "not_found", "over_limit", "invalid"),
)
async def set_budget(here: Here, caller: Caller, job_id: JobId, body: Budget) -> Response:
    """Give the job its own limits, up to those of the service (`JOB_TOKEN_BUDGET`, `JOB_COST_BUDGET_USD`). A
    job that failed with `budget` continues with `retry/`."""
    await actions.set_budget(
        here.resources, caller.user_id, job_id, body.token_budget, body.cost_budget_usd, here.limits
    )
    async with here.reads.open() as statements:
        return json_answer(await usage.usage(statements, caller.user_id, job_id, here.limits))
