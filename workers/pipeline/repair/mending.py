"""What happens when a check fails on the final commit: find the commit that broke it, and open one ticket to
mend it.

A closed ticket's checks passed on its own commit. So the commit that broke one lies between that commit and
the last one, and bisection finds it.
"""

from collections.abc import Sequence

import orjson

from app.actions import changes
from app.actions.planning import Asked
from app.domain.ticket import FileCheck, TicketStatus
from app.domain.workspace import MANIFEST_NAME
from app.runtime.workspace import Commit, Workspace
from app.store import rows, run_steps
from app.store.rows import Seen
from app.store.tables import Run, Ticket
from workers.context import Context
from workers.pipeline.proof.evidence import Finding, checks_of, closed_by_checks, run_check
from workers.pipeline.proof.kept_tests import judged_on
from workers.pipeline.proof.observing import check_digest
from workers.pipeline.repair.fixing import open_fixes

MOST_BISECTED = 5
"""How many failures are traced to a commit. Mostly they have one cause."""

OUTPUT_CHARS = 500


def key(run: Run) -> str:
    """The key of the step that says that a mending ticket was opened: once per run, once more after a
    retry."""
    return f"mend.{run.retries}"


def start_key(run: Run) -> str:
    """Like `key`, for the ticket about an app that does not start."""
    return f"start.{run.retries}"


async def open_mending(context: Context, workspace: Workspace, failed: Sequence[Finding]) -> None:
    """Open one ticket for all that `failed` on the final commit, and go back to building."""
    async with context.look() as session:
        tickets = await rows.tickets(session, context.job_id)
        line = _line(tickets, await rows.evidence(session, context.job_id))
    words = [await _trace(context, workspace, line, finding) for finding in failed[:MOST_BISECTED]]
    async with context.change() as change:
        why = f"On the final commit not everything holds; one more ticket is opened. {words[0]}"
        await open_fixes(change, key(change.run), [_fix(tickets, failed, words)], why)


async def open_starting(context: Context, problem: str) -> None:
    """Open one ticket for an app that does not answer in `/app`, although it does in clean checkouts: its
    data may be older than the code. No check runs on that data, so none can prove the ticket."""
    criterion = "The app starts, again and again, on the data that is there."
    check = FileCheck(id="c1", criterion=0, path=MANIFEST_NAME)
    async with context.change() as change:
        fix = Asked(f"Mend: {criterion}", problem, [criterion], [check])
        why = f"Every check holds, but one more ticket is opened. {problem}"
        await open_fixes(change, start_key(change.run), [fix], why)


def _line(tickets: Sequence[Ticket], seen: Sequence[Seen]) -> list[tuple[Ticket, Commit]]:
    """The closed tickets with their commits, in the order in which they were closed."""
    green = {item.ticket_id: (place, item.tree) for place, item in enumerate(seen) if item.phase == "green"}
    closed = [t for t in closed_by_checks(tickets) if t.commit and t.id in green]
    closed.sort(key=lambda ticket: green[ticket.id][0])
    return [(ticket, Commit(ticket.commit or "", green[ticket.id][1])) for ticket in closed]


async def _trace(
    context: Context, workspace: Workspace, line: list[tuple[Ticket, Commit]], finding: Finding
) -> str:
    """A sentence that says which ticket's commit broke the check of `finding`."""
    own = next((place for place, (ticket, _) in enumerate(line) if ticket.id == finding.ticket_id), None)
    said = f"“{finding.criterion}” of “{finding.title}” does not hold any more"
    if own is None:
        return f"{said}."
    owner, holds, broken = line[own][0], own, len(line)
    while broken - holds > 1:
        middle = (holds + broken) // 2
        tested = await judged_on(context, workspace, owner, finding.check, line[middle][1])
        tried = await run_check(context, workspace, owner, finding.check, tested, "bisect")
        holds, broken = (middle, broken) if tried.passed else (holds, middle)
    if broken == len(line):
        return f"{said}; it held on the commit of every ticket, so a change after them broke it."
    ticket, commit = line[broken]
    return f"{said}; the commit {commit.sha[:10]} of “{ticket.title}” broke it."


def _fix(tickets: Sequence[Ticket], failed: Sequence[Finding], words: Sequence[str]) -> Asked:
    criteria = list(dict.fromkeys(finding.criterion for finding in failed))
    checks = {
        check_digest(finding.check): finding.check.model_copy(
            update={"id": f"c{place}", "criterion": criteria.index(finding.criterion)}
        )
        for place, finding in enumerate(failed, 1)
    }
    broken = {finding.ticket_id for finding in failed}
    others = f" and {len(criteria) - 1} more" if len(criteria) > 1 else ""
    return Asked(
        title=f"Mend: {criteria[0]}{others}",
        description="\n\n".join([*words, f"It says:\n{failed[0].output[-OUTPUT_CHARS:]}"]),
        acceptance_criteria=criteria,
        checks=list(checks.values()),
        requirements=sorted({rid for t in tickets if t.id in broken for rid in t.requirements}),
    )


async def give_up_unmended(context: Context, failed: Sequence[Ticket]) -> None:
    """If a mending ticket is among `failed`, the tickets that it should have mended have failed, too."""
    async with context.change() as change:
        note = await run_steps.find(change.session, change.run.id, key(change.run))
        opened = orjson.loads(note.payload) if note else []
        lost = {check_digest(check) for t in failed if str(t.id) in opened for check in checks_of(t)}
        tickets = await rows.tickets(change.session, context.job_id)
        for ticket in closed_by_checks(tickets):
            if any(check_digest(check) in lost for check in checks_of(ticket)):
                ticket.reason = "It did not hold on the final commit, and could not be mended."
                changes.move_ticket(change.unit, change.job, ticket, TicketStatus.FAILED, ticket.reason)
        changes.follow_children(change.unit, change.job, tickets)
