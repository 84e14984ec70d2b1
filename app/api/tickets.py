"""Doors of the backlog."""

from fastapi import APIRouter, Request, Response

from app.api.deps import Caller, Here, ItemId, JobFilter, PageAsked, SignedInRoute, json_answer, list_answer
from app.api.documented import refusals
from app.api.shapes import Ticket
from app.domain.errors import NOT_FOUND, NotFound
from app.store import jobs, tickets

router = APIRouter(prefix="/api/tickets", tags=["6 · Apps and tickets"], route_class=SignedInRoute)


@router.get("/", response_model=list[Ticket], responses=refusals("not_found", "invalid"))
async def list_tickets(
    request: Request, here: Here, caller: Caller, job_id: JobFilter, page: PageAsked
) -> Response:
    """The tickets of one job, or of all my jobs, in execution order."""
    async with here.reads() as connection:
        if job_id is not None and not await jobs.exists(connection, caller.user_id, job_id):
            raise NotFound(NOT_FOUND)
        found = await tickets.all_tickets(connection, caller.user_id, job_id, page)
    return list_answer(request, found, page)


@router.get("/{id}/", response_model=Ticket, responses=refusals("not_found"))
async def one_ticket(here: Here, caller: Caller, ticket_id: ItemId) -> Response:
    """One ticket."""
    async with here.reads() as connection:
        return json_answer(await tickets.ticket(connection, caller.user_id, ticket_id))
