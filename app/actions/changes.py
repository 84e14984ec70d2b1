"""The changes of a job that clients can see. Each function writes the row and adds the event that tells it.
Actions and stages are built from these functions.

`domain.events.TOLD_AS` lists which change is told by which event.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from uuid_utils.compat import uuid7

from app.domain.conversation import Agent
from app.domain.events import AgentDialogue, JobStatus, PrdReady, StageUpdate, TicketReset, TicketUpdate
from app.domain.job import FINISHED, FailureCode, Status, Verification
from app.domain.stages import may_follow
from app.domain.ticket import CLOSING_LINE, TicketStatus, TicketType, epic_status
from app.domain.values import clean
from app.store.tables import App, Job, Message, Run, Step, Ticket
from app.unit import Unit

Role = Literal["user", "agent", "system"]


def add_message(
    unit: Unit,
    job: Job,
    role: Role,
    sender: str,
    content: str,
    metadata: dict[str, Any],
    *,
    answers: UUID | None = None,
    message_id: UUID | None = None,
) -> Message:
    """Store a message, with its event `stageUpdate`. `metadata` has at least `stage`."""
    job.last_position += 1
    message = Message(
        id=message_id or uuid7(),
        job_id=job.id,
        position=job.last_position,
        role=role,
        sender=sender,
        content=content,
        data=metadata,
        answers=answers,
        created_at=unit.moment(),
    )
    unit.session.add(message)
    event = StageUpdate(id=str(message.id), role=role, sender=sender, content=content, metadata=metadata)
    unit.tell(event, message.created_at, message)
    return message


def describe(unit: Unit, job: Job, sender: str, content: str, stage: str, **metadata: Any) -> Message:
    """Store a message of the service that says what is going on."""
    return add_message(
        unit, job, "system", sender, clean(content), {"stage": stage, "type": "description", **metadata}
    )


def set_status(unit: Unit, job: Job, status: Status, message: str = "") -> None:
    """Change the job's status. Raises ValueError if `domain.stages` forbids it. The same status: nothing
    happens."""
    now = Status(job.status)
    if now is status:
        return
    if not may_follow(now, status):
        raise ValueError(f"{now} may not be followed by {status}")
    job.status = status
    if status in FINISHED:
        job.is_paused = False
    if status is not Status.FAILED:
        job.error_message, job.failure_code = "", None
    if status is not Status.BUILD_DONE:
        job.verification = None
    _tell_status(unit, job, message)


def set_paused(unit: Unit, job: Job, paused: bool) -> None:
    """Pause or resume. Nothing happens if it is so already."""
    if job.is_paused != paused:
        job.is_paused = paused
        _tell_status(unit, job, "Paused." if paused else "Resumed.")


def fail(unit: Unit, job: Job, code: FailureCode, error: str) -> None:
    """The job has failed. `error` says what happened and what the client can do."""
    job.status = Status.FAILED
    job.is_paused = False
    # Some clients take this word in an error for a state of the job. A quoted server may use it, too.
    words = re.sub("continuation", "follow-up", clean(error), flags=re.IGNORECASE)
    job.failure_code, job.error_message, job.verification = code, words, None
    _tell_status(unit, job, job.error_message)


def finish(unit: Unit, job: Job, verification: Verification, message: str) -> None:
    """The build is done. `verification` says how much of it the service has seen to work."""
    if not may_follow(Status(job.status), Status.BUILD_DONE):
        raise ValueError(f"{job.status} may not be followed by build_done")
    job.status, job.is_paused, job.verification = Status.BUILD_DONE, False, verification
    job.error_message, job.failure_code = "", None
    _tell_status(unit, job, message)


def _tell_status(unit: Unit, job: Job, message: str) -> None:
    event = JobStatus(
        status=job.status,
        message=message,
        is_paused=job.is_paused,
        failure_code=job.failure_code,
        verification=job.verification,
    )
    unit.tell(event, unit.moment())


def add_step(unit: Unit, job: Job, run: Run, agent: str, message: str) -> Step:
    """Store one turn of the executives' discussion. `order` keeps counting over continuations."""
    job.last_order += 1
    step = Step(
        id=uuid7(),
        job_id=job.id,
        run_id=run.id,
        agent_name=agent,
        message=clean(message),
        order=job.last_order,
        created_at=unit.moment(),
    )
    unit.session.add(step)
    unit.tell(
        AgentDialogue(id=str(step.id), agent=agent, message=step.message, order=step.order), step.created_at
    )
    return step


def tell_prd(unit: Unit, app: App) -> None:
    """Add the event that the app's specification and PRD are ready."""
    app.updated_at = unit.moment()
    unit.tell(PrdReady(spec=app.spec, prd_markdown=app.prd_markdown), app.updated_at)


def tell_backlog_reset(unit: Unit) -> None:
    """Add the event that a new backlog follows in this unit."""
    unit.tell(TicketReset(), unit.moment())


def tell_ticket(unit: Unit, ticket: Ticket, message: str = "", **metadata: Any) -> None:
    """Add the event that the ticket was created, changed or deleted."""
    ticket.updated_at = unit.moment()
    event = TicketUpdate(
        ticket_id=str(ticket.id),
        status=ticket.status,
        title=ticket.title,
        type=ticket.type,
        assigned_to=ticket.assigned_to,
        message=message,
        metadata=metadata,
    )
    unit.tell(event, ticket.updated_at)


def move_ticket(
    unit: Unit, job: Job, ticket: Ticket, status: TicketStatus, message: str = "", **metadata: Any
) -> None:
    """Change a ticket's status: with a `ticketUpdate`, then a message for the chat's history."""
    ticket.status = status
    tell_ticket(unit, ticket, message, **metadata)
    line = CLOSING_LINE.get(status)
    if line is not None:
        add_message(
            unit,
            job,
            "system",
            ticket.assigned_to or Agent.BUILDER,
            line.format(title=ticket.title),
            {
                "stage": "building",
                "ticketId": str(ticket.id),
                "ticketTitle": ticket.title,
                "ticketStatus": status,
                "ticketType": ticket.type,
            },
        )


def follow_children(unit: Unit, job: Job, tickets: Sequence[Ticket]) -> None:
    """Give every epic among `tickets` the status that follows from its children among them."""
    for epic in tickets:
        if epic.type != TicketType.EPIC:
            continue
        status = epic_status(TicketStatus(t.status) for t in tickets if t.parent_id == epic.id)
        if status != epic.status:
            move_ticket(unit, job, epic, status)


def interrupt_tickets(unit: Unit, job: Job, tickets: Sequence[Ticket]) -> None:
    """The run ended while some of these were being worked on. Their attempt was not judged and does not
    count: a retry continues the same attempt with its stored answers."""
    under_way = [t for t in tickets if t.status == TicketStatus.IN_PROGRESS and t.type != TicketType.EPIC]
    for ticket in under_way:
        ticket.attempts -= 1
    _reopen(unit, job, tickets, under_way)


def reopen_tickets(unit: Unit, job: Job, tickets: Sequence[Ticket]) -> None:
    """Failed tickets get a new attempt, and so do those that were skipped only because of a failed one."""
    _reopen(unit, job, tickets, [t for t in tickets if t.status in _OPEN_AGAIN or t.blocked])


_OPEN_AGAIN = (TicketStatus.FAILED, TicketStatus.IN_PROGRESS)


def _reopen(unit: Unit, job: Job, tickets: Sequence[Ticket], chosen: Sequence[Ticket]) -> None:
    for ticket in chosen:
        if ticket.type != TicketType.EPIC:
            ticket.reason, ticket.blocked = "", False
            move_ticket(unit, job, ticket, TicketStatus.TODO)
    follow_children(unit, job, tickets)
