"""A ticket is written here, whoever plans it: the Project Manager, the service itself, or the client."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from app.domain.contests import Verdict
from app.domain.conversation import Agent
from app.domain.ticket import AnyCheck, TicketStatus, TicketType
from app.domain.values import clean, clip
from app.store.tables import Job, Ticket
from app.unit import Unit

MAX_TITLE, MAX_DESCRIPTION = 300, 4000
"""Characters."""


class Asks(Protocol):
    """What a ticket asks for. Each draft of one says all of it, whoever writes it. The `criterion` of a check
    is an index into `acceptance_criteria`."""

    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def acceptance_criteria(self) -> Sequence[str]: ...
    @property
    def checks(self) -> Sequence[AnyCheck]: ...
    @property
    def requirements(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Asked:
    """The draft of a ticket that the service opens itself."""

    title: str
    description: str
    acceptance_criteria: Sequence[str]
    checks: Sequence[AnyCheck]
    requirements: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What else is decided of a ticket when it is planned. No field has a default, so that whoever plans one
    thinks of each.

    `run_id` is the run that plans it, None if the client adds it (`of_client`). With a `skip_reason` it is
    left out. Without `assigned_to` it is the Builder's, an epic the Project Manager's."""

    id: UUID
    type: TicketType
    run_id: UUID | None
    parent_id: UUID | None
    dependencies: Sequence[str]
    order: int
    assigned_to: str
    skip_reason: str
    of_client: bool


def write_ticket(unit: Unit, job: Job, draft: Asks, planned: Planned, known: Ticket | None = None) -> Ticket:
    """A new ticket; or `known` planned again, which keeps what its attempts have come to. Its event is the
    caller's to add."""
    ticket = known or Ticket(id=planned.id, job_id=job.id, attempts=0, commit=None)
    ticket.title = clip(draft.title, MAX_TITLE)
    ticket.description = clip(draft.description, MAX_DESCRIPTION)
    ticket.acceptance_criteria = [clean(text) for text in draft.acceptance_criteria]
    ticket.checks = [check.model_dump(mode="json", exclude_none=True) for check in draft.checks]
    ticket.requirements = list(draft.requirements)
    ticket.type = planned.type
    ticket.run_id, ticket.parent_id = planned.run_id, planned.parent_id
    ticket.dependencies, ticket.order = list(planned.dependencies), planned.order
    ticket.assigned_to = planned.assigned_to or _usual(planned.type)
    ticket.status = TicketStatus.SKIPPED if planned.skip_reason else TicketStatus.TODO
    ticket.reason, ticket.blocked = clean(planned.skip_reason), False
    ticket.of_client = planned.of_client
    # A sentence whose check was dropped stays without proof as long as it stands: a laxer check of it that a
    # new plan keeps would be taken for one.
    ticket.contests = [each for each in ticket.contests or () if _still_dropped(each, ticket)]
    unit.session.add(ticket)
    return ticket


def _still_dropped(contest: Mapping[str, Any], ticket: Ticket) -> bool:
    return contest["verdict"] == Verdict.DROP and contest["criterion"] in ticket.acceptance_criteria


def _usual(kind: TicketType) -> Agent:
    return Agent.PROJECT_MANAGER if kind is TicketType.EPIC else Agent.BUILDER
