"""Every check of every ticket runs on the final commit, a reviewer reads it, and the app must answer on a
copy of the client's data.

The result is based only on what the service has seen, not on what agents say.
"""

from collections.abc import Sequence, Set
from uuid import UUID

from app.actions import changes
from app.actions.workspaces import manifest_of
from app.domain.contests import dropped
from app.domain.job import FailureCode, Verification
from app.domain.proof import HELD_BEFORE, CheckOutcome, Proofs, Standing, is_shown
from app.domain.ticket import TicketStatus, TicketType
from app.runtime.workspace import Commit, Workspace
from app.store import rows
from app.store.rows import Seen
from app.store.tables import Ticket
from workers.context import Context
from workers.pipeline import spec as specs
from workers.pipeline.box import attached
from workers.pipeline.enter import end_stage
from workers.pipeline.live.dress import would_start
from workers.pipeline.outcome import Outcome, StageFailed
from workers.pipeline.proof.evidence import (
    Asked,
    Finding,
    checks_of,
    checks_of_profile,
    closed_by_checks,
    run_checks,
)
from workers.pipeline.proof.kept_tests import judged_on
from workers.pipeline.proof.observing import check_digest
from workers.pipeline.proof.verdict import Verdict, note_verdict
from workers.pipeline.repair import mending, reviewing
from workers.pipeline.repair.fixing import opened_before


async def verifying(context: Context) -> Outcome:
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
        problem = await _would_start(context, workspace, commit)
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
        await note_verdict(change, verdict)
        end_stage(change)
    return Outcome.NEXT


def _nothing(tickets: Sequence[Ticket]) -> str:
    left_out = "".join(f" “{t.title}”: {t.reason}" for t in tickets if t.status == TicketStatus.SKIPPED)
    return f"Nothing was built, every ticket was left out. Continue with what can be done here.{left_out}"


async def _check_all(
    context: Context, workspace: Workspace, tickets: Sequence[Ticket], commit: Commit
) -> list[Finding]:
    done = closed_by_checks(tickets)
    asked = [
        Asked(ticket, check, await judged_on(context, workspace, ticket, check, commit), "final")
        for ticket in done
        for check in checks_of(ticket)
    ]
    if done:
        asked += await checks_of_profile(context, done[-1], commit, "final")
    with context.progress.checking(len(asked)):
        return await run_checks(context, workspace, asked)


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


async def _would_start(context: Context, workspace: Workspace, commit: Commit) -> str:
    """Why the app would not answer on the client's data, "" if it would."""
    manifest = await manifest_of(workspace)
    if manifest is None:
        return "The build has no usable boardroom.json, so the app cannot be started."
    return await would_start(context, workspace, commit, manifest)


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

    A criterion is proven by a check that failed before its ticket or its run and passes at the end (see
    `domain.proof`). `holds` are the checks that pass at the end, as (ticket, digest). `without_ticket` are
    the requirements that no ticket serves.
    """
    work = [t for t in tickets if t.type != TicketType.EPIC]
    skipped = [t for t in work if t.status == TicketStatus.SKIPPED]
    done = closed_by_checks(tickets)
    tried = {s.check_digest for s in seen}
    proofs = Proofs(CheckOutcome(s.ticket_id, s.check_digest, s.run_id, s.phase, s.passed) for s in seen)
    stands = {ticket.id: _standings(ticket, proofs, holds) for ticket in done}
    found = [
        (standing, f"- {ticket.title}: {criterion}{_why(ticket, place, tried, standing)}")
        for ticket in done
        for place, (criterion, standing) in enumerate(
            zip(ticket.acceptance_criteria, stands[ticket.id], strict=True)
        )
    ]
    unshown = [ticket for ticket in done if not is_shown(stands[ticket.id])]
    proven = sum(standing is Standing.PROVEN for standing, _ in found)
    lines = [
        f"Your app is built and answers. I saw {proven} of {len(found)} criteria of {len(done)} tickets "
        "hold, each by a check that failed before its ticket or before its run."
    ]
    if unproven := [line for standing, line in found if standing in (Standing.OPEN, Standing.HELD)]:
        lines += ["", "Not proven by a check:", *unproven]
    if known := [line for standing, line in found if standing is Standing.KNOWN]:
        lines += ["", "Proven in another run:", *known]
    if nothing_new := [f"- {t.title}" for t in unshown if set(stands[t.id]) == {Standing.KNOWN}]:
        lines += ["", "No criterion of these tickets was proven in their own run:", *nothing_new]
    left_out = [f"{ticket.title}: {ticket.reason}" for ticket in skipped]
    left_out += [f"{title}: no ticket was made for it." for title in without_ticket]
    if left_out:
        lines += ["", "Left out:", *(f"- {line}" for line in left_out)]
    if not found:
        return Verdict(Verification.UNVERIFIED, "\n".join(lines))
    whole = not unshown and not left_out
    return Verdict(Verification.VERIFIED if whole else Verification.PARTLY, "\n".join(lines))


def _standings(ticket: Ticket, proofs: Proofs, holds: Set[tuple[UUID, str]]) -> list[Standing]:
    """How each criterion stands: as the best of its checks."""
    found = [Standing.OPEN] * len(ticket.acceptance_criteria)
    for check in checks_of(ticket):
        words = check_digest(check)
        standing = proofs.standing(ticket.id, words, ticket.run_id, holds=(ticket.id, words) in holds)
        if check.criterion < len(found):
            found[check.criterion] = max(found[check.criterion], standing)
    unproven = dropped(ticket.contests)
    return [
        Standing.OPEN if criterion in unproven else standing
        for criterion, standing in zip(ticket.acceptance_criteria, found, strict=True)
    ]


def _why(ticket: Ticket, place: int, tried: Set[str], standing: Standing) -> str:
    """A note for a criterion that held before, or is not proven because its check was dropped or the box has
    no browser; else ""."""
    if reason := dropped(ticket.contests).get(ticket.acceptance_criteria[place]):
        return f" (its check was dropped: {reason})"
    if standing in (Standing.HELD, Standing.KNOWN):
        return f" ({HELD_BEFORE})"
    mine = [check for check in checks_of(ticket) if check.criterion == place]
    unseen = any(check.kind == "page" and check_digest(check) not in tried for check in mine)
    return " (not checked: the box has no browser)" if unseen else ""
