"""The route that shows each requirement with its tickets, checks and results."""

from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request, Response

from app.api.deps import MAX_PAGE, Caller, Here, JobId, SignedInRoute, clamp, json_answer, link_next
from app.api.documented import refusals
from app.api.shapes import CHECK, COMMIT, OTHER_ID, TICKET_ID, WHEN, Shape, example
from app.domain.errors import NOT_FOUND, FieldError, Invalid, NotFound
from app.domain.ticket import Check, Phase, TicketStatus
from app.domain.values import Stamp
from app.store import traces

router = APIRouter(prefix="/api/jobs/{job_id}", tags=["6 · Apps and tickets"], route_class=SignedInRoute)

_RESULT = {
    "evidence_id": OTHER_ID,
    "run": 1,
    "phase": "final",
    "passed": True,
    "commit": COMMIT,
    "created_at": WHEN,
}
_CHECK = {
    "criterion": "The start page answers",
    "check": CHECK,
    "before": {**_RESULT, "phase": "red", "passed": False},
    "after": _RESULT,
    "proven": True,
}
_TICKET = {
    "id": TICKET_ID,
    "type": "story",
    "title": "Show the list",
    "status": "done",
    "reason": "",
    "run": 1,
    "attempts": 1,
    "commit": COMMIT,
    "acceptance_criteria": ["The start page answers"],
    "checks": [_CHECK],
}


class Result(Shape):
    """The result of a check: one item of `evidence/`, without its output."""

    model_config = example(**_RESULT)

    evidence_id: UUID
    run: int
    phase: Phase
    passed: bool
    commit: str
    created_at: Stamp


class TracedCheck(Shape):
    """`before` is the result before the work, `after` the last result since. `proven` means that it failed
    before and passed after. If `before` has the phase `run` and passed, the check holds, but held before."""

    model_config = example(**_CHECK)

    criterion: str
    check: Check
    before: Result | None
    after: Result | None
    proven: bool


class TracedTicket(Shape):
    """`run` is the number of the run that last planned the ticket; null for a ticket that only a client
    wrote. `reason` says why it failed or was skipped."""

    model_config = example(**_TICKET)

    id: UUID
    type: Literal["story", "task"]
    title: str
    status: TicketStatus
    reason: str
    run: int | None
    attempts: int
    commit: str | None
    acceptance_criteria: list[str]
    checks: list[TracedCheck]


class TracedRequirement(Shape):
    """`proven` means that all its tickets are done, each with a proven check, and that each of their
    criteria has a proven check, or one that was proven in another run. Tickets that belong to no requirement
    are in a last row with an empty `id`."""

    model_config = example(
        id="R1",
        title="See the list",
        description="Members see all books.",
        priority="must",
        proven=True,
        tickets=[_TICKET],
    )

    id: str
    title: str
    description: str
    priority: Literal["must", "should", "could", ""]
    proven: bool
    tickets: list[TracedTicket]


@router.get("/trace/", response_model=list[TracedRequirement], responses=refusals("not_found", "invalid"))
async def job_trace(
    request: Request,
    here: Here,
    caller: Caller,
    job_id: JobId,
    limit: Annotated[
        int | None, Query(description="How many at most, 1–1000 (clamped); without it the list is complete.")
    ] = None,
    after: Annotated[
        str | None, Query(description="Only requirements after the one with this id.", max_length=40)
    ] = None,
) -> Response:
    """Each requirement with its tickets, their commits, their checks and the last results, over all runs of
    the job. `[]` while there are no requirements."""
    async with here.reads.open() as statements:
        found = await traces.traced(statements, caller.user_id, job_id)
    if found is None:
        raise NotFound(NOT_FOUND)
    page = _rows_after(found, after)
    page = page if limit is None else page[: clamp(limit, 1, MAX_PAGE)]
    answer = json_answer(orjson.dumps(page))
    if page and page[-1] is not found[-1]:
        link_next(request, answer, "after", page[-1]["id"])
    return answer


def _rows_after(rows: list[dict[str, Any]], after: str | None) -> list[dict[str, Any]]:
    if after is None:
        return rows
    place = next((place for place, row in enumerate(rows, 1) if row["id"] == after), None)
    if place is None:
        message = "names nothing in this list"
        raise Invalid(f"after: {message}.", errors=[FieldError("after", message)])
    return rows[place:]
