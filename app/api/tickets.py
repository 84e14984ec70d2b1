"""Routes of a job's tickets."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.actions import backlog as actions
from app.api.deps import Caller, Here, ItemId, JobFilter, PageAsked, SignedInRoute, json_answer, list_answer
from app.api.documented import refusals
from app.api.shapes import CHECK, JOB_ID, TICKET_ID, WHEN, Shape, example
from app.domain import backlog
from app.domain.contests import Contest
from app.domain.errors import NOT_FOUND, NotFound
from app.domain.ticket import Check, TicketStatus, TicketType
from app.domain.values import Stamp, parse_id
from app.store import jobs, tickets

router = APIRouter(prefix="/api/tickets", tags=["6 · Apps and tickets"], route_class=SignedInRoute)


class Ticket(Shape):
    """`checks` are what the service runs to find out whether a criterion is met. `criterion` of a check is an
    index into `acceptance_criteria`. `contests` are checks that the Builder has contested, with what the
    Project Manager decided; a criterion whose check was dropped stays unproven."""

    model_config = example(
        id=TICKET_ID,
        job_id=JOB_ID,
        parent_id=None,
        type="story",
        title="Show the list",
        description="",
        acceptance_criteria=["The start page answers"],
        checks=[CHECK],
        status="todo",
        assigned_to="Builder",
        dependencies=[],
        order=1,
        attempts=0,
        contests=[],
        commit=None,
        created_at=WHEN,
        updated_at=WHEN,
    )

    id: UUID
    job_id: UUID
    parent_id: UUID | None
    type: TicketType
    title: str
    description: str
    acceptance_criteria: list[str]
    checks: list[Check]
    status: TicketStatus
    assigned_to: str
    dependencies: list[UUID]
    order: int
    attempts: int
    contests: list[Contest]
    commit: str | None
    created_at: Stamp
    updated_at: Stamp


class NewTicket(backlog.NewTicket):
    """`dependency_ids` is another name for `dependencies`. Without `order` the ticket comes last. Without
    `assigned_to` it is assigned to the Builder, an epic to the Project Manager."""

    model_config = example(
        job_id=JOB_ID,
        type="story",
        title="Lend a book to a member",
        description="Who has it, and since when.",
        acceptance_criteria=["A lent book shows who has it"],
        assigned_to="Builder",
        parent_id=None,
        dependencies=[TICKET_ID],
        order=4,
    )

    job_id: str


class TicketEdit(backlog.TicketEdit):
    """Absent fields stay as they are; `parent_id: null` takes the ticket out of its epic."""

    model_config = example(title="Lend a book to a friend", dependencies=[])


@router.get("/", response_model=list[Ticket], responses=refusals("not_found", "invalid"))
async def list_tickets(
    request: Request, here: Here, caller: Caller, job_id: JobFilter, page: PageAsked
) -> Response:
    """The tickets of one job, or of all jobs of the user, in the order in which they are worked on."""
    async with here.reads.open() as statements:
        found = await tickets.all_tickets(statements, caller.user_id, job_id, page)
        if found.is_empty and job_id and not await jobs.exists(statements, caller.user_id, job_id):
            raise NotFound(NOT_FOUND)
    return list_answer(request, found, page)


@router.get("/{id}/", response_model=Ticket, responses=refusals("not_found"))
async def one_ticket(here: Here, caller: Caller, ticket_id: ItemId) -> Response:
    """One ticket."""
    async with here.reads.open() as statements:
        return json_answer(await tickets.ticket(statements, caller.user_id, ticket_id))


@router.post(
    "/",
    status_code=201,
    response_model=Ticket,
    responses=refusals("bad_json", "not_found", "job_running", "job_full", "invalid"),
)
async def add_ticket(here: Here, caller: Caller, body: NewTicket) -> Response:
    """Add a ticket while no run is active. In the next continuation the Project Manager gives it checks and
    the Builder works on it; a ticket without checks is never `done`."""
    job_id = parse_id(body.job_id)
    if job_id is None:
        raise NotFound(NOT_FOUND)
    ticket_id = await actions.add_ticket(here.resources, caller.user_id, job_id, body)
    async with here.reads.open() as statements:
        return json_answer(await tickets.ticket(statements, caller.user_id, ticket_id), 201)


@router.patch(
    "/{id}/", response_model=Ticket, responses=refusals("bad_json", "not_found", "job_running", "invalid")
)
async def edit_ticket(here: Here, caller: Caller, ticket_id: ItemId, body: TicketEdit) -> Response:
    """Change a ticket while no run is active. The checks of criteria that stay word for word are kept. A
    `done` ticket with other criteria becomes `todo` again. The status cannot be set: checks decide it."""
    await actions.edit_ticket(here.resources, caller.user_id, ticket_id, body)
    async with here.reads.open() as statements:
        return json_answer(await tickets.ticket(statements, caller.user_id, ticket_id))


@router.delete("/{id}/", status_code=204, responses=refusals("not_found", "job_running"))
async def delete_ticket(here: Here, caller: Caller, ticket_id: ItemId) -> Response:
    """Delete a ticket while no run is active. Its checks are not run any more."""
    await actions.delete_ticket(here.resources, caller.user_id, ticket_id)
    return Response(status_code=204)
