"""Edits of the backlog by the client, between runs. A ticket that the client adds has no checks. In the next
run the Project Manager gives it some, because a ticket without checks is never done."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from app.actions import changes
from app.actions.planning import Planned, write_ticket
from app.domain.backlog import MAX_CLIENT_TICKETS, NewTicket, TicketEdit, moved_checks, places
from app.domain.errors import NOT_FOUND, Conflict, FieldError, Invalid, NotFound
from app.domain.ticket import TicketStatus, TicketType
from app.domain.values import parse_id
from app.resources import Resources
from app.store import rows, runs, tickets
from app.store.tables import Job, Ticket
from app.unit import Unit

_ASKS = frozenset({"title", "description", "acceptance_criteria"})
"""The fields of a ticket that say what is to be done."""


async def add_ticket(resources: Resources, user_id: UUID, job_id: UUID, new: NewTicket) -> UUID:
    """Add a ticket; returns its id. Raises NotFound; Conflict `job_running`, `job_full`; Invalid."""
    async with resources.unit() as unit:
        job, backlog = await _take_backlog(unit, user_id, job_id)
        if job.client_tickets >= MAX_CLIENT_TICKETS:
            raise Conflict(f"You have added {MAX_CLIENT_TICKETS} tickets to this job.", code="job_full")
        job.client_tickets += 1
        planned = Planned(
            id=uuid7(),
            type=new.type,
            run_id=None,
            order=new.order or max((each.order for each in backlog), default=0) + 1,
            assigned_to=new.assigned_to,
            skip_reason="",
            of_client=True,
            **_links(new.parent_id, new.dependencies, backlog),
        )
        ticket = write_ticket(unit, job, new, planned)
        await _settle(unit, job, ticket, backlog, event="created")
    return ticket.id


async def edit_ticket(resources: Resources, user_id: UUID, ticket_id: UUID, edit: TicketEdit) -> None:
    """Change a ticket; nothing happens if nothing differs. A done ticket with other criteria becomes `todo`.
    Raises NotFound; Conflict `job_running`; Invalid."""
    async with resources.unit() as unit:
        job, ticket, others = await _take_ticket(unit, user_id, ticket_id)
        given = edit.model_dump(exclude_unset=True)
        given = {name: value for name, value in given.items() if value is not None or name == "parent_id"}
        given |= _links(given.get("parent_id"), given.get("dependencies", []), others, only=given)
        changed = {name: value for name, value in given.items() if getattr(ticket, name) != value}
        if not changed:
            return
        if "type" in changed and TicketType.EPIC in (ticket.type, changed["type"]):
            raise _invalid("type", "an epic stays one, and nothing else becomes one")
        _apply(ticket, changed)
        await _settle(unit, job, ticket, others, event="updated")


async def delete_ticket(resources: Resources, user_id: UUID, ticket_id: UUID) -> None:
    """Delete a ticket, and remove it from tickets that refer to it. Raises NotFound; Conflict
    `job_running`."""
    async with resources.unit() as unit:
        job, ticket, others = await _take_ticket(unit, user_id, ticket_id)
        changes.tell_ticket(unit, ticket, event="deleted")
        await unit.session.delete(ticket)
        for other in others:
            if other.parent_id == ticket.id or str(ticket.id) in other.dependencies:
                other.parent_id = None if other.parent_id == ticket.id else other.parent_id
                other.dependencies = [key for key in other.dependencies if key != str(ticket.id)]
                changes.tell_ticket(unit, other, event="updated")
        await unit.session.flush()
        changes.follow_children(unit, job, others)


async def _take_backlog(unit: Unit, user_id: UUID, job_id: UUID | None) -> tuple[Job, Sequence[Ticket]]:
    job = await unit.take(job_id, user_id)
    if await runs.active(unit.session, job.id) is not None:
        raise Conflict("A run is under way: the backlog can be edited when it is over.", code="job_running")
    return job, await rows.tickets(unit.session, job.id)


async def _take_ticket(unit: Unit, user_id: UUID, ticket_id: UUID) -> tuple[Job, Ticket, list[Ticket]]:
    """The job, the ticket, and the rest of the backlog."""
    job_id = await tickets.job_of(unit.session, user_id, ticket_id)
    job, backlog = await _take_backlog(unit, user_id, job_id)
    ticket = next((each for each in backlog if each.id == ticket_id), None)
    if ticket is None:
        raise NotFound(NOT_FOUND)
    return job, ticket, [each for each in backlog if each is not ticket]


def _links(
    parent: str | None,
    dependencies: Sequence[str],
    others: Sequence[Ticket],
    only: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """`parent_id` and `dependencies` as the row stores them; with `only`, those of them that are in it.
    Raises Invalid unless the parent is an epic of this job and the dependencies are stories or tasks of
    it."""
    epics = {each.id for each in others if each.type == TicketType.EPIC}
    work = {each.id for each in others} - epics
    found = {
        "parent_id": None if parent is None else parse_id(parent),
        "dependencies": list(dict.fromkeys(str(parse_id(key)) for key in dependencies)),
    }
    if parent is not None and found["parent_id"] not in epics:
        raise _invalid("parent_id", "must name an epic of this job")
    if not all(parse_id(key) in work for key in dependencies):
        raise _invalid("dependencies", "must name other tickets of this job that are no epics")
    return found if only is None else {name: value for name, value in found.items() if name in only}


def _apply(ticket: Ticket, changed: Mapping[str, Any]) -> None:
    """Set the changed fields. Checks are kept with their criteria. A done ticket becomes `todo` if a
    criterion is new, or no check is left."""
    asked = ticket.acceptance_criteria
    for name, value in changed.items():
        setattr(ticket, name, value)
    ticket.of_client = ticket.of_client or not _ASKS.isdisjoint(changed)
    if "acceptance_criteria" not in changed:
        return
    ticket.checks = moved_checks(ticket.checks, asked, ticket.acceptance_criteria)
    more = not ticket.checks or not set(asked).issuperset(ticket.acceptance_criteria)
    if more and ticket.status == TicketStatus.DONE:
        ticket.status, ticket.commit = TicketStatus.TODO, None


async def _settle(unit: Unit, job: Job, ticket: Ticket, others: Sequence[Ticket], *, event: str) -> None:
    """Give each ticket its place in the order, then add the events of the change and of the tickets that it
    moved. Raises Invalid for a cycle."""
    if ticket.type == TicketType.EPIC:
        _require_grouping_only(ticket)
    every = [ticket, *others]
    known = {str(each.id) for each in every}
    try:
        order = places(
            {str(each.id): each.order for each in every},
            {str(each.id): known.intersection(each.dependencies) for each in every},
        )
    except ValueError:
        raise _invalid("dependencies", "must not lead back to the ticket itself") from None
    moved = [each for each in others if each.order != order[str(each.id)]]
    for each in every:
        each.order = order[str(each.id)]
    await unit.session.flush()
    changes.tell_ticket(unit, ticket, event=event)
    for each in moved:
        changes.tell_ticket(unit, each, event="updated")
    changes.follow_children(unit, job, every)


def _require_grouping_only(epic: Ticket) -> None:
    for name in ("parent_id", "dependencies", "acceptance_criteria"):
        if getattr(epic, name):
            raise _invalid(name, "an epic only groups tickets and has none of its own")


def _invalid(field: str, message: str) -> Invalid:
    return Invalid(f"{field}: {message}.", errors=[FieldError(field, message)])
