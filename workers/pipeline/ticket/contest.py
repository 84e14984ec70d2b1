"""The Builder contests a check of its ticket: the Project Manager keeps, mends or drops it, on the record.

A dropped check leaves its criterion unproven (`domain.contests`), so this makes no build look better than it
is.
"""

from collections.abc import Sequence

from app.actions import changes
from app.domain.contests import MOST_CONTESTS, Contest, Verdict
from app.domain.conversation import Agent
from app.domain.ticket import AnyCheck
from app.domain.values import clean, clip
from app.runtime.workspace import CheckResult
from app.store import rows
from app.store.tables import Ticket
from workers.agents.ask import Unusable, ask, facts
from workers.agents.facts import ContestFacts
from workers.agents.outputs import Contested
from workers.agents.roles import JUDGE
from workers.agents.tools import Contest as ContestTool
from workers.context import Context
from workers.pipeline import spec as specs
from workers.pipeline.proof.evidence import checks_of
from workers.pipeline.proof.observing import check_digest
from workers.profiles.catalogue import find

SHOWN_OUTPUT = 3000
UNUSABLE = "The Project Manager gave no answer that can be used, so it stays."

_WORDS = {
    Verdict.KEEP: "stays as it is",
    Verdict.MEND: "is replaced",
    Verdict.DROP: "is dropped, so its criterion stays unproven",
}


def refusal(ticket: Ticket, check: AnyCheck) -> str:
    """Why the check cannot be contested, "" if it can."""
    if contest := of(ticket, check.id):
        return f"error: it was contested already. {told(contest)}"
    if len(ticket.contests) >= MOST_CONTESTS:
        return f"error: of a ticket at most {MOST_CONTESTS} checks can be contested"
    return ""


def of(ticket: Ticket, check_id: str) -> Contest | None:
    """What was decided of a check of this id, None if it was not contested."""
    found = (Contest.model_validate(item) for item in ticket.contests)
    return next((contest for contest in found if contest.check["id"] == check_id), None)


def told(contest: Contest) -> str:
    """The decision, for the Builder."""
    return f"The check {contest.check['id']} {_WORDS[contest.verdict]}: {contest.answer}"


async def decide(
    context: Context, ticket: Ticket, check: AnyCheck, tool: ContestTool, result: CheckResult
) -> str:
    """Ask the Project Manager, and do what it says. `result` is how the check comes out now. Returns what the
    Builder is told."""
    others = [other for other in checks_of(ticket) if other.id != check.id]
    decision = await _ask(context, ticket, check, others, tool, result)
    contest = Contest(
        check=check.model_dump(mode="json", exclude_none=True),
        criterion=ticket.acceptance_criteria[check.criterion],
        why=clean(tool.why),
        verdict=decision.verdict,
        answer=clean(decision.why),
    )
    checks = checks_of(ticket)
    place = [each.id for each in checks].index(check.id)
    after: Sequence[AnyCheck] = [] if decision.check is None else [_in_place_of(check, decision.check)]
    if contest.verdict is not Verdict.KEEP:
        checks[place : place + 1] = after
    async with context.change() as change:
        change.advance()
        stored = await rows.ticket(change.session, ticket.id)
        stored.contests = [*stored.contests, contest.model_dump(mode="json")]
        stored.checks = [each.model_dump(mode="json", exclude_none=True) for each in checks]
        said = f"“{stored.title}”: {told(contest)} (Contested: {clip(contest.why, 500)})"
        about = {"ticket_id": str(stored.id), "check_id": check.id, "verdict": contest.verdict.value}
        changes.describe(change.unit, change.job, Agent.PROJECT_MANAGER, said, change.stage.shown_as, **about)
        changes.tell_ticket(change.unit, stored, said)
    return "\n".join([told(contest), *(each.model_dump_json(exclude_none=True) for each in after)])


async def _ask(
    context: Context,
    ticket: Ticket,
    check: AnyCheck,
    others: Sequence[AnyCheck],
    tool: ContestTool,
    result: CheckResult,
) -> Contested:
    spec = await specs.load(context)
    browser = await context.served.browser(context.resources.runtime)
    shown = ContestFacts(
        summary=spec.summary,
        requirements=[item for item in spec.promised() if item.id in set(ticket.requirements)],
        contract=spec.contract,
        decision=spec.decision.decision if spec.decision else "",
        profile=spec.profile,
        stack=find(spec.profile).stack(installs=context.resources.runtime.network != "none"),
        browser=browser,
        ticket=ticket.title,
        description=ticket.description,
        acceptance_criteria=ticket.acceptance_criteria,
        check=check,
        others=list(others),
        why=tool.why,
        output=result.output_tail[-SHOWN_OUTPUT:],
    )

    def fits(answer: Contested) -> None:
        if answer.verdict is Verdict.DROP and not others:
            raise ValueError("it is the only check of the ticket, so it can be kept or mended, not dropped")
        if answer.check is not None and check_digest(answer.check) == check_digest(check):
            raise ValueError("`check` is what it was: keep it, or say what changes")
        if answer.check is not None and answer.check.kind == "page" and not browser:
            raise ValueError("the box has no browser, so there are no `page` checks")

    try:
        spoken = await ask(context, f"contest.{ticket.id}.{check.id}", JUDGE, facts(shown), Contested, fits)
    except Unusable:
        return Contested(verdict=Verdict.KEEP, why=UNUSABLE)
    return spoken.value


def _in_place_of(before: AnyCheck, after: AnyCheck) -> AnyCheck:
    return after.model_copy(update={"id": before.id, "criterion": before.criterion})
