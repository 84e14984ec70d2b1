"""A ticket is written here, whoever plans it: the Project Manager, the service itself, or the client."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.conversation import Agent
from app.domain.ticket import AnyCheck, TicketStatus, TicketType
from app.store.tables import Job, Ticket
from app.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Planned:
    """All that is decided of a ticket before work on it begins. No field has a default, so that everybody who
    plans one thinks of each.

    `run_id` is the run that plans it, None if the client adds it (`of_client`). With a `skip_reason` it is
    left out. Without `assigned_to` it is the Builder's, an epic the Project Manager's."""

    id: UUID
    run_id: UUID | None
    parent_id: UUID | None
    type: TicketType
    title: str
    description: str
    acceptance_criteria: Sequence[str]
    checks: Sequence[AnyCheck]
    requirements: Sequence[str]
    dependencies: Sequence[str]
    order: int
    assigned_to: str
    skip_reason: str
    of_client: bool


def write_ticket(unit: Unit, job: Job, planned: Planned, known: Ticket | None = None) -> Ticket:
    """A new ticket; or `known` planned again, which keeps what its attempts have come to. Its event is the
    caller's to add."""
    ticket = known or Ticket(id=planned.id, job_id=job.id, attempts=0, commit=None)
    ticket.run_id, ticket.parent_id = planned.run_id, planned.parent_id
    ticket.type, ticket.title, ticket.description = planned.type, planned.title, planned.description
    ticket.acceptance_criteria = list(planned.acceptance_criteria)
    ticket.checks = [check.model_dump(mode="json", exclude_none=True) for check in planned.checks]
    ticket.requirements = list(planned.requirements)
    ticket.dependencies = list(planned.dependencies)
    ticket.order = planned.order
    ticket.assigned_to = planned.assigned_to or _usual(planned.type)
    ticket.status = TicketStatus.SKIPPED if planned.skip_reason else TicketStatus.TODO
    ticket.reason, ticket.blocked = planned.skip_reason, False
    ticket.of_client = planned.of_client
    unit.session.add(ticket)
    return ticket


def _usual(kind: TicketType) -> Agent:
    return Agent.PROJECT_MANAGER if kind is TicketType.EPIC else Agent.BUILDER
