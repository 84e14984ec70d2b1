"""Runs checks on commits and stores the results as evidence. What an agent says is never evidence.

Evidence is found by the check's content and the git tree that it ran on. A check that passed on a tree is not
run on it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import orjson
from uuid_utils.compat import uuid7

from app import metrics
from app.domain.proof import BEFORE
from app.domain.ticket import CHECK, AnyCheck, Phase, TicketStatus, TicketType
from app.domain.values import clean
from app.runtime.workspace import CheckResult, Commit, Workspace
from app.store import rows
from app.store.rows import Seen
from app.store.tables import Evidence, Ticket
from workers.agents.facts import Failure
from workers.context import Context
from workers.pipeline import spec as specs
from workers.pipeline.aloud import aloud
from workers.pipeline.proof.runners import judged
from workers.pipeline.proof.trials import check_apart
from workers.profiles.catalogue import find
from workers.steps import digest

SHOWN_OUTPUT = 2000


@dataclass(frozen=True)
class Finding:
    """The result of one check of a ticket on one commit. `checked` is false if it could not be run here."""

    ticket_id: UUID
    title: str
    criterion: str
    check: AnyCheck
    passed: bool
    exit_code: int | None
    output: str
    checked: bool = True

    @property
    def failed(self) -> bool:
        """A check that could not be run has neither failed nor passed."""
        return self.checked and not self.passed

    def as_failure(self, told: Sequence[AnyCheck]) -> Failure:
        """For the Builder, who is told those checks with its ticket: one of them is named by its id only."""
        return Failure(
            reason=f"A check of “{self.title}” failed.",
            criterion=self.criterion,
            check=self.check.id if self.check in told else self.check.model_dump_json(exclude_none=True),
            output=self.output[-SHOWN_OUTPUT:],
        )


def checks_of(ticket: Ticket) -> list[AnyCheck]:
    return [CHECK.validate_python(check) for check in ticket.checks]


def check_digest(check: AnyCheck) -> str:
    """A digest of what the check does, without its id and criterion. With the tree it is the key of
    evidence."""
    content = check.model_dump(mode="json", exclude={"id", "criterion"})
    return digest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode())


def closed_by_checks(tickets: Sequence[Ticket]) -> list[Ticket]:
    """The done stories and tasks: their checks must pass from now on."""
    return [t for t in tickets if t.status == TicketStatus.DONE and t.type != TicketType.EPIC]


async def run_check(
    context: Context,
    workspace: Workspace,
    ticket: Ticket,
    check: AnyCheck,
    commit: Commit,
    phase: Phase,
    promise: str = "",
) -> Finding:
    """Run one check of `ticket` on `commit` (see `observe`). With a `promise` it is a check of the profile:
    its evidence belongs to no ticket, but a failure counts for `ticket`."""
    owner = None if promise else ticket.id
    result = await observe(context, workspace, check, commit, phase, owner)
    if result.checked:
        context.progress.checked(passed=result.passed)
    return Finding(
        ticket_id=ticket.id,
        title=ticket.title,
        criterion=promise or _criterion(ticket, check),
        check=check,
        passed=result.passed,
        exit_code=result.exit_code,
        output=result.output_tail,
        checked=result.checked,
    )


async def run_profile_checks(
    context: Context, workspace: Workspace, ticket: Ticket, commit: Commit, phase: Phase
) -> list[Finding]:
    """Run the checks of the app's profile, which must pass on every commit. `ticket` is the one that made
    `commit`."""
    profile = find((await specs.load(context)).profile)
    return [
        await run_check(context, workspace, ticket, check.as_check(), commit, phase, check.promise)
        for check in profile.checks
    ]


async def observe(
    context: Context,
    workspace: Workspace,
    check: AnyCheck,
    commit: Commit,
    phase: Phase,
    ticket_id: UUID | None = None,
) -> CheckResult:
    """Run a check on `commit`, or use its stored result on the same tree. Either way the result is stored for
    this ticket, phase and run, each outcome once, unless the check could not be run here."""
    key = check_digest(check)
    async with context.glance() as session:
        same = await rows.evidence_of(session, context.job_id, key, commit.tree)
    if (stands := _standing(same, phase)) is not None:
        result = CheckResult(stands.passed, stands.exit_code, stands.output_tail, 0)
    else:
        async with aloud(context, ticket_id) as hear:
            result = judged(
                check, await context.unless_paused(check_apart(context, workspace, commit, check, hear))
            )
    known = {(item.ticket_id, item.phase, item.passed, item.run_id) for item in same}
    if result.checked and (ticket_id, phase, result.passed, context.run_id) not in known:
        await _store(context, ticket_id, check, commit, phase, key, result)
    return result


def _standing(seen: Sequence[Seen], phase: Phase) -> Seen | None:
    """The stored result to use. A failure may be the fault of the box (it was full, or about to die), and no
    retry could ever mend that. So a failure is used only as the state before the work."""
    passed = next((item for item in seen if item.passed), None)
    return passed or next((item for item in seen if phase in BEFORE), None)


def _criterion(ticket: Ticket, check: AnyCheck) -> str:
    criteria = ticket.acceptance_criteria
    return criteria[check.criterion] if check.criterion < len(criteria) else ""


async def _store(
    context: Context,
    ticket_id: UUID | None,
    check: AnyCheck,
    commit: Commit,
    phase: Phase,
    key: str,
    result: CheckResult,
) -> None:
    async with context.change() as change:
        change.session.add(
            Evidence(
                id=uuid7(),
                job_id=context.job_id,
                run_id=context.run_id,
                ticket_id=ticket_id,
                phase=phase,
                criterion=check.criterion,
                check=check.model_dump(mode="json", exclude_none=True),
                check_digest=key,
                commit=commit.sha,
                tree=commit.tree,
                exit_code=result.exit_code,
                passed=result.passed,
                output_tail=clean(result.output_tail),
                duration_ms=result.duration_ms,
            )
        )
        change.advance()
    metrics.checks.labels(check.kind, str(result.passed).lower()).inc()
