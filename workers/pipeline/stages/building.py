"""The Builder works on the tickets, one after the other. A ticket is `done` only when its checks have
passed."""

from typing import Any
from uuid import UUID

from app.actions import changes
from app.domain.job import FailureCode
from app.domain.ticket import CLOSED, TicketStatus, TicketType
from app.runtime.workspace import FenceLost, RuntimeProblem, Workspace
from app.store import rows
from app.store.tables import Ticket
from workers.context import Change, Context
from workers.pipeline.box import attached, keep
from workers.pipeline.enter import end_stage
from workers.pipeline.live.bringing import bring_back
from workers.pipeline.live.following import follow
from workers.pipeline.outcome import Outcome, StageFailed
from workers.pipeline.proof.kept_tests import found
from workers.pipeline.proof.observing import check_digest
from workers.pipeline.repair.mending import give_up_unmended
from workers.pipeline.ticket import trial
from workers.pipeline.ticket.beginning import begin
from workers.pipeline.ticket.death import note_death
from workers.pipeline.ticket.ladder import WORDS, Standing, Terms, climb

KEPT = "kept"
"""The step that says that the commit at which the run begins to build is in the database."""

UNPROVABLE = "It has no check yet: continue the job, and the Project Manager gives it some."
"""The reason of a skipped ticket that the client added after the Project Manager had planned, before a
retry."""


async def building(context: Context) -> Outcome:
    await bring_back(context)
    async with attached(context) as workspace:
        await begin(context, workspace)
        if await context.step(KEPT) is None:
            await keep(context, workspace, KEPT)  # the commit at which the run begins outlives the box
        await trial.begin_of_run(context, workspace)
        await found(context, workspace)
        while (ticket := await _next(context)) is not None:
            is_closed = await _work_off(context, workspace, ticket)
            await keep(context, workspace)
            if is_closed:
                await follow(context, workspace)
    async with context.glance() as session:
        tickets = await rows.tickets(session, context.job_id)
    failed = [t for t in tickets if t.status == TicketStatus.FAILED and t.type != TicketType.EPIC]
    if failed:
        await give_up_unmended(context, failed)
        titles = ", ".join(f"“{ticket.title}”" for ticket in failed)
        raise StageFailed(
            FailureCode.CHECKS_FAILED,
            f"Checks still fail for {titles}. Look at the tickets' evidence, then retry.",
        )
    async with context.change() as change:
        end_stage(change)
    return Outcome.NEXT


async def _next(context: Context) -> Ticket | None:
    """The next ticket that can be worked on. Skips tickets without checks, and those that depend on a ticket
    that was not done."""
    while True:
        async with context.glance() as session:
            tickets = await rows.tickets(session, context.job_id)
        by_id = {str(ticket.id): ticket for ticket in tickets}
        work = [t for t in tickets if t.type != TicketType.EPIC and t.status not in CLOSED]
        if not work:
            return None
        for ticket in work:
            if not ticket.checks:
                await _skip(context, ticket.id, UNPROVABLE)
                break
            before = [by_id[key] for key in ticket.dependencies if key in by_id]
            lost = next((t for t in before if t.status in (TicketStatus.FAILED, TicketStatus.SKIPPED)), None)
            if lost is not None:
                reason = f"It depends on “{lost.title}”, which was not done."
                blocked = lost.blocked or lost.status == TicketStatus.FAILED
                await _skip(context, ticket.id, reason, blocked=blocked)
                break
            if all(t.status == TicketStatus.DONE for t in before):
                return ticket
        else:
            raise StageFailed(FailureCode.INTERNAL, "The backlog's dependencies cannot be worked off. Retry.")


async def _work_off(context: Context, workspace: Workspace, ticket: Ticket) -> bool:
    """Attempt the ticket until its checks pass, or until it has failed for good. Returns whether they
    pass."""
    if ticket.status == TicketStatus.TODO:
        await _begin(context, ticket.id)
    while True:
        async with context.glance() as session:
            ticket = await rows.ticket(session, ticket.id)
        try:
            tried = await trial.try_ticket(context, workspace, ticket)
        except FenceLost:
            raise
        except RuntimeProblem as problem:
            await note_death(context, ticket, problem)
            raise
        if not tried.failures:
            await _end(context, ticket.id, tried)
            trial.look_on_aside(context, workspace, tried)
            return True
        terms = Terms(context.ticket_attempts, strong=context.models.strong is not None)
        following = climb(tried.standing, ticket.attempts, tried.failures, tried.diff, terms)
        if following.over:
            await trial.take_back(workspace, ticket, tried.base)
            await _end(context, ticket.id, tried, following)
            return False
        await _again(context, ticket.id, tried, following)


async def _begin(context: Context, ticket_id: UUID) -> None:
    async with context.change() as change:
        change.advance()
        ticket = await rows.ticket(change.session, ticket_id)
        ticket.attempts += 1
        changes.move_ticket(
            change.unit, change.job, ticket, TicketStatus.IN_PROGRESS, attempt=ticket.attempts
        )
        changes.follow_children(change.unit, change.job, await rows.tickets(change.session, context.job_id))


async def _again(context: Context, ticket_id: UUID, tried: trial.Tried, following: Standing) -> None:
    """Begin the next attempt, and store what it will be given."""
    async with context.change() as change:
        change.advance()
        ticket = await rows.ticket(change.session, ticket_id)
        ticket.attempts += 1
        await trial.note_standing(change, ticket, ticket.attempts, following)
        changes.tell_ticket(
            change.unit,
            ticket,
            f"Attempt {ticket.attempts - 1} did not pass: {tried.failures[0].reason} {WORDS[following.rung]}",
            attempt=ticket.attempts,
            **tried.shown,
        )
        await _tell_failed(change, ticket, tried)


async def _tell_failed(change: Change, ticket: Ticket, tried: trial.Tried) -> None:
    """A message for the chat's history: an attempt has failed, and by which evidence."""
    told: dict[str, Any] = {"ticketId": str(ticket.id), "attempt": ticket.attempts}
    what = "the attempt did not pass"
    if tried.broken is not None:
        what = "a check failed"
        evidence = await rows.newest_failure(change.session, change.job.id, check_digest(tried.broken))
        told |= {} if evidence is None else {"evidenceId": str(evidence)}
    change.describe(f'🔁 "{ticket.title}": {what}, trying again (attempt {ticket.attempts})', **told)


async def _end(
    context: Context, ticket_id: UUID, tried: trial.Tried, following: Standing | None = None
) -> None:
    """Close the ticket as done; or with `following`, as failed: then what a retry will be given is stored."""
    status = TicketStatus.DONE if following is None else TicketStatus.FAILED
    async with context.change() as change:
        change.advance()
        ticket = await rows.ticket(change.session, ticket_id)
        if following is None:
            ticket.commit, ticket.reason = tried.commit.sha, ""
            await trial.note_summary(change, ticket, tried.summary)
        else:
            ticket.reason = tried.failures[0].reason
            await trial.note_standing(change, ticket, ticket.attempts + 1, following)
        changes.move_ticket(
            change.unit,
            change.job,
            ticket,
            status,
            ticket.reason,
            attempt=ticket.attempts,
            **tried.shown,
        )
        changes.follow_children(change.unit, change.job, await rows.tickets(change.session, context.job_id))


async def _skip(context: Context, ticket_id: UUID, reason: str, *, blocked: bool = False) -> None:
    async with context.change() as change:
        change.advance()
        ticket = await rows.ticket(change.session, ticket_id)
        ticket.reason, ticket.blocked = reason, blocked
        changes.move_ticket(
            change.unit, change.job, ticket, TicketStatus.SKIPPED, ticket.reason, reason=ticket.reason
        )
        changes.follow_children(change.unit, change.job, await rows.tickets(change.session, context.job_id))
