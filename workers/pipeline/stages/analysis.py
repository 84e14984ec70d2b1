"""The Business Analyst turns the conversation into requirements whose ids stay the same over
continuations."""

from app.domain.values import clean
from workers.agents.ask import ask, facts
from workers.agents.facts import AnalysisFacts
from workers.agents.outputs import Requirement, Requirements
from workers.agents.roles import BUSINESS_ANALYST
from workers.context import Context
from workers.pipeline import spec as specs
from workers.pipeline.enter import end_stage
from workers.pipeline.outcome import Outcome
from workers.pipeline.spec import Spec
from workers.pipeline.words import CLIENT, before_of, conversation

MOST = 60
"""How many requirements an app may have."""

WISH = 0
"""The number of the wish of a continuation, in `contract`."""


async def analysis(context: Context) -> Outcome:
    context.served.look_ahead(context.resources.runtime)  # the next stage needs it
    spec = await specs.load(context)
    shown = await _facts(context, spec)

    def fits(answer: Requirements) -> None:
        _fits(shown, answer)

    spoken = await ask(context, "analysis", BUSINESS_ANALYST, facts(shown), Requirements, fits)
    found = spoken.value
    known = {item.id for item in shown.known}
    async with context.change() as change:
        if shown.continuation:
            change.job.prompt = change.job.requirements_summary = clean(found.summary)
        spec.summary, spec.model = found.summary, spoken.model
        spec.requirement_list = merged(shown.known, found)
        spec.new = [r.id for r in spec.requirement_list if r.id not in known or r.id in found.changed]
        spec.changed, spec.assumptions = found.changed, found.assumptions
        spec.contract = _contract(spec.contract, shown, found.contract)
        spec.requirements = specs.requirements_text(spec.requirement_list)
        spec.discussion = []
        await specs.store(change, spec)
        end_stage(change)
    return Outcome.NEXT


async def _facts(context: Context, spec: Spec) -> AnalysisFacts:
    async with context.look() as session:
        job, run = await context.mine(session)
    return AnalysisFacts(
        summary=job.requirements_summary or job.initial_prompt,
        conversation=await conversation(context),
        continuation=run.requirements,
        known=spec.requirement_list if run.requirements else [],
        before=before_of(spec) if run.requirements else None,
    )


def _fits(shown: AnalysisFacts, answer: Requirements) -> None:
    """Raises ValueError."""
    if unknown := set(answer.changed) - {item.id for item in shown.known}:
        raise ValueError(f"changed: {', '.join(sorted(unknown))} was not there before")
    if unwritten := set(answer.changed) - {item.id for item in answer.requirements}:
        raise ValueError(f"changed: {', '.join(sorted(unwritten))} must be written anew in requirements")
    if not 0 < len(merged(shown.known, answer)) <= MOST:
        raise ValueError(f"requirements: there must be 1 to {MOST} together with those known")
    numbers = {said.number for said in shown.conversation if said.who == CLIENT}
    if odd := set(answer.contract) - numbers - ({WISH} if shown.continuation else set()):
        names = ", ".join(map(str, sorted(odd)))
        raise ValueError(f"contract: {names} is no number of a message of the client")


def merged(known: list[Requirement], answer: Requirements) -> list[Requirement]:
    """The new list. Known requirements keep their words, unless the answer names them as changed: then it has
    written them anew."""
    written = {item.id: item for item in answer.requirements}
    kept = [written.get(item.id, item) if item.id in answer.changed else item for item in known]
    ids = {item.id for item in known}
    return [*kept, *(item for item in answer.requirements if item.id not in ids)]


def _contract(before: list[str], shown: AnalysisFacts, numbers: list[int]) -> list[str]:
    """All texts whose names hold to the letter; none twice."""
    texts = {said.number: said.text for said in shown.conversation} | {WISH: shown.continuation}
    return list(dict.fromkeys([*before, *(texts[number] for number in numbers)]))
