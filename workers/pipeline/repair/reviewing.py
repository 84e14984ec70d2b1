"""The CTO compares what the run has built with the PRD, once per run: it passes it, or proposes up to three
tickets.

A proposed ticket is opened only if one of its checks fails on the commit that was read. A `page` check that
cannot run, because the box has no browser, does not count as failed. See decision 12.
"""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import TypeAdapter

from app.actions import changes
from app.domain.ticket import TicketStatus, TicketType
from app.domain.values import clean
from app.runtime.workspace import Commit, Workspace
from app.store import rows
from app.store.tables import Run
from workers.agents.ask import ask, facts
from workers.agents.facts import Reviewed, ReviewFacts
from workers.agents.outputs import FixDraft, Review
from workers.agents.roles import REVIEWER
from workers.context import Context
from workers.pipeline import spec as specs
from workers.pipeline.proof.observing import Wanted, observe
from workers.pipeline.repair.fixing import open_fixes
from workers.pipeline.ticket import overview
from workers.pipeline.ticket.trial import begin_of_run
from workers.pipeline.words import binding
from workers.steps import note

DIFF_CHARS = 60_000


class Look(StrEnum):
    """The result of a proposed ticket's checks on the commit that was read."""

    BROKEN = "broken"
    HOLDS = "holds"
    UNSEEN = "unseen"


TOLD = {
    Look.BROKEN: "Opened:",
    Look.HOLDS: "Not opened, since none of their checks was seen to fail:",
    Look.UNSEEN: "Not opened, since the box has no browser to see it with:",
}


WISHES = "wishes"
"""The step with what the client may want next."""

_WISHES: TypeAdapter[list[str]] = TypeAdapter(list[str])


async def wishes(context: Context) -> list[str]:
    """What the reviewer of this run thinks the client may want next."""
    step = await context.step(WISHES)
    return [] if step is None else _WISHES.validate_json(step.payload)


def key(run: Run) -> str:
    """The key of the step that says that the run was reviewed: once per run, retries included."""
    return f"review.{run.number}"


async def review(context: Context, workspace: Workspace, commit: Commit) -> bool:
    """Have the commit reviewed; returns whether it was passed, so that no ticket was opened.

    Raises Unusable, ModelUnavailable, BudgetSpent."""
    shown = await _facts(context, workspace, commit)
    known = {item.id for item in shown.requirements}

    def fits(answer: Review) -> None:
        unknown = {rid for fix in answer.fixes for rid in fix.requirements} - known
        if unknown:
            raise ValueError(f"fixes: unknown requirements: {', '.join(sorted(unknown))}")

    spoken = await ask(context, "review", REVIEWER, facts(shown), Review, fits)
    looks = [(fix, await _look(context, workspace, commit, fix)) for fix in spoken.value.fixes]
    fixes = [fix for fix, look in looks if look is Look.BROKEN]
    async with context.change() as change:
        changes.add_message(
            change.unit,
            change.job,
            "agent",
            REVIEWER.agent,
            clean(_told(spoken.value.message, looks)),
            {"stage": change.stage.shown_as, "model": spoken.model, "commit": commit.sha},
        )
        await note(change, WISHES, _WISHES.dump_json(spoken.value.next).decode())
        await open_fixes(change, key(change.run), fixes)
    return not fixes


async def _facts(context: Context, workspace: Workspace, commit: Commit) -> ReviewFacts:
    spec = await specs.load(context)
    assert spec.prd is not None, "a run that built has one"
    begin = await begin_of_run(context, workspace)
    diff = await workspace.diff(begin.tree, commit.tree, DIFF_CHARS)
    run = await context.run()
    async with context.glance() as session:
        tickets = await rows.tickets(session, context.job_id)
    return ReviewFacts(
        prd=spec.prd.model_copy(update={"requirements": []}),
        requirements=spec.promised(),
        new=spec.new if run.requirements else [],
        conversation=await binding(context, spec),
        continuation=run.requirements,
        tickets=[
            Reviewed(
                title=ticket.title,
                status=TicketStatus(ticket.status),
                acceptance_criteria=ticket.acceptance_criteria,
                reason=ticket.reason,
            )
            for ticket in tickets
            if ticket.type != TicketType.EPIC
        ],
        files=await overview.files(workspace),
        diff=diff,
        cut=len(diff.encode()) >= DIFF_CHARS,
        browser=await context.served.browser(context.resources.runtime),
    )


async def _look(context: Context, workspace: Workspace, commit: Commit, fix: FixDraft) -> Look:
    wanted = [Wanted(check, commit, "review") for check in fix.checks]
    seen = [result for result in await observe(context, workspace, wanted) if result is not None]
    if any(result.checked and not result.passed for result in seen):
        return Look.BROKEN
    return Look.HOLDS if all(result.checked for result in seen) else Look.UNSEEN


def _told(message: str, looks: Sequence[tuple[FixDraft, Look]]) -> str:
    lines = [message]
    for look, words in TOLD.items():
        if titles := [f"- {fix.title}" for fix, came_to in looks if came_to is look]:
            lines += ["", words, *titles]
    return "\n".join(lines)
