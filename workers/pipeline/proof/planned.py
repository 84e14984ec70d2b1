"""The checks of a new plan: the Project Manager is asked ticket by ticket.

Checks are most of what a plan is made of. In one answer six tickets with theirs were as long as an answer may
be, and one that was cut off was lost as a whole.
"""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from app.domain.ticket import AnyCheck, TicketType
from workers.agents.ask import ask, facts
from workers.agents.facts import AskedTicket, KnownTicket, ProvingFacts, TicketingFacts
from workers.agents.outputs import Backlog, Checks, TicketDraft
from workers.agents.roles import PROVER
from workers.context import Context
from workers.llm.model import Message
from workers.pipeline.proof.brief import without_repeats


async def with_checks(context: Context, shown: TicketingFacts, backlog: Backlog) -> Backlog:
    """The backlog, in which each story and task that is to be built has checks. Those that came with checks
    keep them. Each answer is stored, so that nothing is asked twice. Raises what `ask` raises."""
    before = {ticket.id: ticket for ticket in shown.known}
    (first,) = facts(_told(shown, backlog))
    drafts = []
    # One after the other: of two open requests of a run the earlier one counts as lost with its worker.
    for place, draft in enumerate(backlog.tickets):
        if draft.type is not TicketType.EPIC and not draft.skip_reason and not draft.checks:
            draft = await _ask(context, f"checks.{place}", first, draft, before.get(draft.key))
        drafts.append(draft)
    return Backlog(tickets=drafts)


async def with_missing(
    context: Context, shown: TicketingFacts, backlog: Backlog, missing: Mapping[str, Sequence[str]]
) -> Backlog:
    """The backlog with further criteria and checks for what is missing in tickets, by their keys."""
    if not missing:
        return backlog
    (first,) = facts(_told(shown, backlog))
    drafts = []
    for place, draft in enumerate(backlog.tickets):
        if draft.key in missing:
            draft = await _ask_more(context, f"checks.more.{place}", first, draft, missing[draft.key])
        drafts.append(draft)
    return Backlog(tickets=drafts)


def _told(shown: TicketingFacts, backlog: Backlog) -> ProvingFacts:
    return ProvingFacts(
        profile=shown.profile,
        stack=shown.stack,
        browser=shown.browser,
        contract=[said.text for said in shown.conversation if said.contract],
        requirements=shown.requirements,
        summary=shown.prd.problem,
        continuation=shown.continuation,
        decision=shown.decision.decision,
        tickets=[draft.model_copy(update={"checks": []}) for draft in backlog.tickets],
    )


async def _ask(
    context: Context, key: str, first: Message, draft: TicketDraft, known: KnownTicket | None
) -> TicketDraft:
    asked = AskedTicket(
        ticket=draft.key,
        before=without_repeats(known.checks) if known else [],
        criteria_before=known.acceptance_criteria if known and known.checks else [],
        answer_tokens=context.models.answer_tokens(PROVER.max_tokens),
    )

    before = known.checks if known else []

    def fits(answer: Checks) -> None:
        merged(draft, before, answer)

    spoken = await ask(context, key, PROVER, (first, *facts(asked)), Checks, fits)
    return draft.model_copy(update={"checks": merged(draft, before, spoken.value)})


async def _ask_more(
    context: Context, key: str, first: Message, draft: TicketDraft, missing: Sequence[str]
) -> TicketDraft:
    asked = AskedTicket(
        ticket=draft.key,
        before=without_repeats(draft.checks),
        criteria_before=draft.acceptance_criteria,
        missing=list(missing),
        answer_tokens=context.models.answer_tokens(PROVER.max_tokens),
    )

    def fits(answer: Checks) -> None:
        added(draft, answer)

    return added(draft, (await ask(context, key, PROVER, (first, *facts(asked)), Checks, fits)).value)


def added(draft: TicketDraft, answer: Checks) -> TicketDraft:
    """The ticket with the further criteria and checks of the answer; none that it has is lost. Raises
    ValueError if they do not fit it."""
    criteria = [*draft.acceptance_criteria, *answer.criteria]
    if not answer.checks:
        raise ValueError(f"{draft.key}: what is missing needs an executable check")
    if unproven := set(range(len(draft.acceptance_criteria), len(criteria))) - {
        check.criterion for check in answer.checks
    }:
        raise ValueError(f"{draft.key}: criterion {min(unproven)} needs a check")
    checks = [*draft.checks, *answer.checks]
    _refuse_unfit(draft.key, checks, len(criteria))
    try:
        return TicketDraft.model_validate(
            draft.model_dump() | {"acceptance_criteria": criteria, "checks": checks}
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{draft.key}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def merged(draft: TicketDraft, before: Sequence[AnyCheck], answer: Checks) -> list[AnyCheck]:
    """The new checks of a ticket, and those that it keeps of `before`. Raises ValueError if they do not fit
    it."""
    known = {check.id: check for check in before}
    if unknown := [kept.id for kept in answer.keep if kept.id not in known]:
        raise ValueError(f"keep: `before` has no checks {', '.join(unknown)}")
    checks = [known[kept.id].model_copy(update={"criterion": kept.criterion}) for kept in answer.keep]
    checks += answer.checks
    if not checks:
        raise ValueError(f"{draft.key}: at least one criterion needs an executable check")
    if answer.criteria:
        raise ValueError("criteria: only where something is `missing`")
    _refuse_unfit(draft.key, checks, len(draft.acceptance_criteria))
    return checks


def _refuse_unfit(key: str, checks: Sequence[AnyCheck], criteria: int) -> None:
    """Raises ValueError."""
    if any(check.criterion >= criteria for check in checks):
        raise ValueError(f"{key}: a check names a criterion that does not exist")
    ids = [check.id for check in checks]
    if twice := sorted({each for each in ids if ids.count(each) > 1}):
        raise ValueError(f"{key}: more than one check has the id {', '.join(twice)}")
