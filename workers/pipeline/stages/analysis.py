"""The Business Analyst turns the conversation into requirements whose ids stay the same over
continuations."""

from app.domain.conversation import Agent
from app.domain.values import clean
from app.store import rows
from workers.agents.ask import ask, facts
from workers.agents.facts import AnalysisFacts, Said
from workers.agents.outputs import Requirement, Requirements
from workers.agents.roles import BUSINESS_ANALYST
from workers.context import Context
from workers.pipeline import spec as specs
from workers.pipeline.enter import end_stage
from workers.pipeline.outcome import Outcome

_SPEAKERS = {"user": "Client", "agent": Agent.CLIENT_RELATIONS}
"""The speakers as the analyst is shown them. The client's name or email must not reach a model's server."""


async def analysis(context: Context) -> Outcome:
    context.served.look_ahead(context.resources.runtime)  # the next stage needs it
    shown = await _facts(context)
    spec = await specs.load(context)

    def keeps_known(answer: Requirements) -> None:
        _keeps_known(shown.known, answer)

    spoken = await ask(context, "analysis", BUSINESS_ANALYST, facts(shown), Requirements, keeps_known)
    found = spoken.value
    async with context.change() as change:
        if shown.continuation:
            change.job.prompt = change.job.requirements_summary = clean(found.summary)
        spec.summary, spec.model = found.summary, spoken.model
        spec.requirement_list = _with_known_texts(shown.known, found)
        spec.changed, spec.assumptions = found.changed, found.assumptions
        spec.requirements = specs.requirements_text(spec.requirement_list)
        spec.discussion, spec.decision, spec.prd = [], None, None
        await specs.store(change, spec)
        end_stage(change)
    return Outcome.NEXT


async def _facts(context: Context) -> AnalysisFacts:
    spec = await specs.load(context)
    async with context.look() as session:
        job, run = await context.mine(session)
        chat = await rows.chat(session, context.job_id)
    return AnalysisFacts(
        idea=job.initial_prompt,
        summary=job.requirements_summary,
        conversation=[Said(who=_SPEAKERS[message.role], text=message.content) for message in chat],
        continuation=run.requirements,
        known=spec.requirement_list if run.requirements else [],
    )


def _keeps_known(known: list[Requirement], answer: Requirements) -> None:
    missing = {item.id for item in known} - {item.id for item in answer.requirements}
    if missing:
        raise ValueError(
            f"requirements: {', '.join(sorted(missing))} of the run before must stay in the list"
        )
    if unknown := set(answer.changed) - {item.id for item in known}:
        raise ValueError(f"changed: {', '.join(sorted(unknown))} was not there before")


def _with_known_texts(known: list[Requirement], answer: Requirements) -> list[Requirement]:
    """The new list. Known requirements keep their old text, unless the answer names them as changed."""
    kept = {item.id: item for item in known if item.id not in answer.changed}
    return [kept.get(item.id, item) for item in answer.requirements]
