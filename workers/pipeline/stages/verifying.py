"""The last stage: every check of every ticket runs on the final commit, a reviewer reads it, and the app must
answer.

The result is based only on what the service has seen, not on what agents say.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from uuid import UUID

from pydantic import ValidationError

from app import metrics
from app.actions import changes
from app.domain.conversation import Agent
from app.domain.errors import Refusal
from app.domain.job import FailureCode, Verification
from app.domain.stages import RunState, Stage
from app.domain.ticket import TicketStatus, TicketType
from app.domain.workspace import MANIFEST, Manifest
from app.runtime.workspace import Commit, Workspace
from app.store import rows
from app.store.rows import Seen
from app.store.tables import Ticket
from workers.context import Context
from workers.pipeline import spec as specs
from workers.pipeline.box import attached
from workers.pipeline.enter import enter
from workers.pipeline.outcome import Outcome, StageFailed
from workers.pipeline.proof.evidence import (
    Finding,
    check_digest,
    checks_of,
    closed_by_checks,
    run_check,
    run_profile_checks,
)
from workers.pipeline.proof.kept_tests import judged_on
from workers.pipeline.repair import mending, reviewing
from workers.pipeline.repair.fixing import opened_before


@dataclass(frozen=True)
class Verdict:
    verification: Verification
    message: str


async def verifying(context: Context) -> Outcome:
    await enter(context, Stage.VERIFYING)
    run = await context.run()
    async with context.glance() as session:
        tickets = await rows.tickets(session, context.job_id)
    if not closed_by_checks(tickets):
        raise StageFailed(FailureCode.CHECKS_FAILED, _nothing(tickets))
    async with attached(context) as workspace:
        commit = await workspace.head()
        assert commit is not None, "a closed ticket has one"
        await workspace.restore(commit.tree)
        findings = await _check_all(context, workspace, tickets, commit)
        failed = [finding for finding in findings if finding.failed]
        if failed and not await opened_before(context, mending.key(run)):
            await mending.open_mending(context, workspace, failed)
            return Outcome.NEXT
        if failed:
            await _fail_tickets(context, failed)
        if not await opened_before(context, reviewing.key(run)):
            passed = await reviewing.review(context, workspace, commit)
            if not passed:
                return Outcome.NEXT
        problem = await _start_app(context, workspace)
        if problem and not await opened_before(context, mending.start_key(run)):
            await mending.open_starting(context, problem)
            return Outcome.NEXT
        if problem:
            raise StageFailed(FailureCode.CHECKS_FAILED, f"{problem} Continue the job and say so.")
    async with context.glance() as session:
        seen = await rows.evidence(session, context.job_id)
    holds = {(finding.ticket_id, check_digest(finding.check)) for finding in findings if finding.passed}
    verdict = judge(tickets, seen, holds, await _without_ticket(context, tickets))
    async with context.change() as change:
        changes.add_message(
            change.unit,
            change.job,
            "agent",
            Agent.CLIENT_RELATIONS,
            verdict.message,
            {"stage": "verifying", "verification": verdict.verification, "commit": commit.sha},
        )
        changes.finish(change.unit, change.job, verdict.verification, "The app is built and answers.")
        change.run.state, change.run.lease_until = RunState.DONE, None
    metrics.runs_ended.labels(verdict.verification).inc()
    return Outcome.OVER


def _nothing(tickets: Sequence[Ticket]) -> str:
    left_out = "".join(f" “{t.title}”: {t.reason}" for t in tickets if t.status == TicketStatus.SKIPPED)
    return f"Nothing was built, every ticket was left out. Continue with what can be done here.{left_out}"


async def _check_all(
    context: Context, workspace: Workspace, tickets: Sequence[Ticket], commit: Commit
) -> list[Finding]:
    findings = []
    done = closed_by_checks(tickets)
    for ticket in done:
        for check in checks_of(ticket):
            tested = await judged_on(context, workspace, ticket, check, commit)
            findings.append(await run_check(context, workspace, ticket, check, tested, "final"))
    if done:
        findings += await run_profile_checks(context, workspace, done[-1], commit, "final")
    return findings


async def _fail_tickets(context: Context, failed: list[Finding]) -> None:
    """Tickets whose checks fail on the final commit have failed. Raises StageFailed."""
    async with context.change() as change:
        for ticket_id in dict.fromkeys(finding.ticket_id for finding in failed):
            ticket = await rows.ticket(change.session, ticket_id)
            finding = next(item for item in failed if item.ticket_id == ticket_id)
            ticket.reason = f"On the final commit this does not hold: {finding.criterion}"
            changes.move_ticket(change.unit, change.job, ticket, TicketStatus.FAILED, ticket.reason)
        changes.follow_children(change.unit, change.job, await rows.tickets(change.session, context.job_id))
    titles = ", ".join(dict.fromkeys(f"“{finding.title}”" for finding in failed))
    raise StageFailed(
        FailureCode.CHECKS_FAILED,
        f"On the final commit checks fail for {titles}. Look at the tickets' evidence, then retry.",
    )


async def _start_app(context: Context, workspace: Workspace) -> str:
    """Start the app in `/app`, on its data, and a second time, as after a sleep. Returns why it does not
    answer, "" if it does."""
    try:
        manifest = Manifest.model_validate_json((await workspace.read(MANIFEST)).content)
    except (Refusal, ValidationError):
        return "The build has no usable boardroom.json, so the app cannot be started."
    for when in ("", " when it is started a second time"):
        await workspace.stop_app()  # at first it may still run older code
        app = await context.unless_paused(workspace.start_app(manifest))
        if not app.answering:
            return (
                f"The app does not answer on {manifest.health}{when}. Its last words: {app.log_tail[-500:]}"
            )
    return ""


async def _without_ticket(context: Context, tickets: Sequence[Ticket]) -> list[str]:
    """The titles of requirements that no ticket serves: the PRD may leave out those of priority `could`, and
    the client may have deleted the ticket."""
    served = {rid for ticket in tickets if ticket.type != TicketType.EPIC for rid in ticket.requirements}
    return [item.title for item in (await specs.load(context)).requirement_list if item.id not in served]


def judge(
    tickets: Sequence[Ticket],
    seen: Sequence[Seen],
    holds: Set[tuple[UUID, str]],
    without_ticket: Sequence[str] = (),
) -> Verdict:
    """How much of the build is proven, and the closing message, which names what is not.

    A criterion is proven by a check that failed before its ticket and passes at the end. `holds` are the
    checks that pass at the end, as (ticket, digest). `without_ticket` are the requirements that no ticket
    serves.
    """
    work = [t for t in tickets if t.type != TicketType.EPIC]
    skipped = [t for t in work if t.status == TicketStatus.SKIPPED]
    done = closed_by_checks(tickets)
    red = {(s.ticket_id, s.check_digest) for s in seen if s.phase == "red" and not s.passed}
    known = {s.check_digest for s in seen}
    unproven = [
        f"{ticket.title}: {criterion}{_why(ticket, place, known)}"
        for ticket in done
        for place, criterion in enumerate(ticket.acceptance_criteria)
        if not any(
            check.criterion == place
            and (ticket.id, check_digest(check)) in holds
            and (ticket.id, check_digest(check)) in red
            for check in checks_of(ticket)
        )
    ]
    criteria = sum(len(ticket.acceptance_criteria) for ticket in done)
    lines = [
        f"Your app is built and answers. I saw {criteria - len(unproven)} of {criteria} criteria of "
        f"{len(done)} tickets hold, each by a check that failed before its ticket was done."
    ]
    if unproven:
        lines += ["", "Not proven by a check:", *(f"- {line}" for line in unproven)]
    left_out = [f"{ticket.title}: {ticket.reason}" for ticket in skipped]
    left_out += [f"{title}: no ticket was made for it." for title in without_ticket]
    if left_out:
        lines += ["", "Left out:", *(f"- {line}" for line in left_out)]
    if criteria == 0:
        return Verdict(Verification.UNVERIFIED, "\n".join(lines))
    whole = not unproven and not left_out
    return Verdict(Verification.VERIFIED if whole else Verification.PARTLY, "\n".join(lines))


def _why(ticket: Ticket, place: int, known: Set[str]) -> str:
    """A note for a criterion that is not proven because the box has no browser; else ""."""
    mine = [check for check in checks_of(ticket) if check.criterion == place]
    unseen = any(check.kind == "page" and check_digest(check) not in known for check in mine)
    return " (not checked: the box has no browser)" if unseen else ""
