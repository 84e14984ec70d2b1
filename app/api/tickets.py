"""Doors of the backlog."""

from fastapi import APIRouter, Request, Response

from app.actions import backlog as actions
from app.api.deps import Caller, Here, ItemId, JobFilter, PageAsked, SignedInRoute, json_answer, list_answer
from app.api.documented import refusals
from app.api.shapes import JOB_ID, TICKET_ID, Ticket, example
from app.domain import backlog
from app.domain.errors import NOT_FOUND, NotFound
from app.domain.values import parse_id
from app.store import jobs, tickets

router = APIRouter(prefix="/api/tickets", tags=["6 · Apps and tickets"], route_class=SignedInRoute)


class NewTicket(backlog.NewTicket):
    """`dependency_ids` is another name for `dependencies`. Without `order` the ticket comes last; without
    `assigned_to` it is the Builder's, an epic the Project Manager's."""

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
    """What is absent stays; `parent_id: null` takes the ticket out of its epic."""

    model_config = example(title="Lend a book to a friend", dependencies=[])


@router.get("/", response_model=list[Ticket], responses=refusals("not_found", "invalid"))
async def list_tickets(
    request: Request, here: Here, caller: Caller, job_id: JobFilter, page: PageAsked
) -> Response:
    """The tickets of one job, or of all my jobs, in execution order."""
    async with here.reads.connection() as connection:
        found = await tickets.all_tickets(connection, caller.user_id, job_id, page)
        if found.is_empty and job_id and not await jobs.exists(connection, caller.user_id, job_id):
            raise NotFound(NOT_FOUND)
    return list_answer(request, found, page)


@router.get("/{id}/", response_model=Ticket, responses=refusals("not_found"))
async def one_ticket(here: Here, caller: Caller, ticket_id: ItemId) -> Response:
    """One ticket."""
    async with here.reads.connection() as connection:
        return json_answer(await tickets.ticket(connection, caller.user_id, ticket_id))


@router.post(
    "/",
    status_code=201,
    response_model=Ticket,
    responses=refusals("bad_json", "not_found", "job_running", "job_full", "invalid"),
)
async def add_ticket(here: Here, caller: Caller, body: NewTicket) -> Response:
    """Put a ticket into the backlog, while no run is active. The next continuation takes it up: the Project
    Manager gives it checks, without which nothing is ever `done`."""
    job_id = parse_id(body.job_id)
    if job_id is None:
        raise NotFound(NOT_FOUND)
    ticket_id = await actions.add_ticket(here.resources, caller.user_id, job_id, body)
    async with here.reads.connection() as connection:
        return json_answer(await tickets.ticket(connection, caller.user_id, ticket_id), 201)


@router.patch(
    "/{id}/", response_model=Ticket, responses=refusals("bad_json", "not_found", "job_running", "invalid")
)
async def edit_ticket(here: Here, caller: Caller, ticket_id: ItemId, body: TicketEdit) -> Response:
    """Change a ticket, while no run is active. Checks stay with the criteria that stay; a `done` ticket that
    asks for something else is `todo` again. Its status is for the checks to say, and cannot be set."""
    await actions.edit_ticket(here.resources, caller.user_id, ticket_id, body)
    async with here.reads.connection() as connection:
        return json_answer(await tickets.ticket(connection, caller.user_id, ticket_id))


@router.delete("/{id}/", status_code=204, responses=refusals("not_found", "job_running"))
async def delete_ticket(here: Here, caller: Caller, ticket_id: ItemId) -> Response:
    """Take a ticket out of the backlog, while no run is active: its checks are not run any more."""
    await actions.delete_ticket(here.resources, caller.user_id, ticket_id)
    return Response(status_code=204)
