"""Runs checks on commits and stores the results as evidence. What an agent says is never evidence.

Evidence is found by the check's content and the git tree that it ran on. A check that passed on a tree is not
run on it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.ticket import CHECK, AnyCheck, Phase, TicketStatus, TicketType
from app.runtime.workspace import Commit, Workspace
from app.store.tables import Ticket
from workers.agents.facts import Failure
from workers.context import Context
from workers.pipeline import spec as specs
from workers.pipeline.proof.observing import Wanted, observe
from workers.profiles.catalogue import find

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


@dataclass(frozen=True)
class Asked:
    """A check of `ticket` to run on `commit`. With a `promise` it is a check of the profile: its evidence
    belongs to no ticket, but a failure counts for `ticket`."""

    ticket: Ticket
    check: AnyCheck
    commit: Commit
    phase: Phase
    promise: str = ""

    @property
    def wanted(self) -> Wanted:
        owner = None if self.promise else self.ticket.id
        return Wanted(self.check, self.commit, self.phase, owner)

    @property
    def criterion(self) -> str:
        criteria = self.ticket.acceptance_criteria
        known = self.check.criterion < len(criteria)
        return self.promise or (criteria[self.check.criterion] if known else "")


def checks_of(ticket: Ticket) -> list[AnyCheck]:
    return [CHECK.validate_python(check) for check in ticket.checks]


def closed_by_checks(tickets: Sequence[Ticket]) -> list[Ticket]:
    """The done stories and tasks: their checks must pass from now on."""
    return [t for t in tickets if t.status == TicketStatus.DONE and t.type != TicketType.EPIC]


async def run_checks(
    context: Context, workspace: Workspace, asked: Sequence[Asked], until: float | None = None
) -> list[Finding]:
    """Run checks, several at a time (see `observe`). Those that were not begun before `until` (of
    `monotonic`) have no finding."""
    results = await observe(context, workspace, [item.wanted for item in asked], until)
    return [
        Finding(
            ticket_id=item.ticket.id,
            title=item.ticket.title,
            criterion=item.criterion,
            check=item.check,
            passed=result.passed,
            exit_code=result.exit_code,
            output=result.output_tail,
            checked=result.checked,
        )
        for item, result in zip(asked, results, strict=True)
        if result is not None
    ]


async def run_check(
    context: Context, workspace: Workspace, ticket: Ticket, check: AnyCheck, commit: Commit, phase: Phase
) -> Finding:
    """Run one check of `ticket` on `commit`."""
    (finding,) = await run_checks(context, workspace, [Asked(ticket, check, commit, phase)])
    return finding


async def checks_of_profile(context: Context, ticket: Ticket, commit: Commit, phase: Phase) -> list[Asked]:
    """The checks of the app's profile, which must pass on every commit. `ticket` is the one that made
    `commit`."""
    profile = find((await specs.load(context)).profile)
    return [Asked(ticket, check.as_check(), commit, phase, check.promise) for check in profile.checks]
