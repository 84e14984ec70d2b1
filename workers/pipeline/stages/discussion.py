"""CEO and CTO discuss the requirements in a few rounds; the Secretary records the decision.

Each turn is stored as a `Step` and sent as `agentDialogue`; it is not a message as well.
"""

from pydantic import TypeAdapter

from app.actions import changes
from workers.agents.ask import ask, facts
from workers.agents.facts import DiscussionFacts, Kind, Said
from workers.agents.outputs import Amendment, DecisionRecord, Requirement, Turn
from workers.agents.roles import CEO, CTO, SECRETARY, Role
from workers.context import Context
from workers.pipeline import spec as specs
from workers.pipeline.enter import end_stage
from workers.pipeline.outcome import Outcome
from workers.pipeline.spec import Contribution, Spec
from workers.pipeline.words import before_of
from workers.profiles.catalogue import find
from workers.steps import Result, once

ROUNDS = 2
SPEAKERS = (CEO, CTO)

_KINDS: TypeAdapter[list[Kind]] = TypeAdapter(list[Kind])


async def discussion(context: Context) -> Outcome:
    spec = await specs.load(context)
    kinds = await _kinds(context, spec)
    while (speaker := next_speaker(spec.discussion)) is not None:
        number = len(spec.discussion)
        shown = facts(await _facts(context, spec, kinds, speaker))
        turn = await ask(context, f"discussion.{number}", speaker, shown, Turn)
        await _record(context, spec, speaker, turn.value.message, turn.value.objections)
    shown = facts(await _facts(context, spec, kinds, SECRETARY))

    def fits(record: DecisionRecord) -> None:
        if record.profile not in (names := [kind.name for kind in kinds]):
            raise ValueError(f"profile: must be one of {', '.join(names)}")
        if closed := {item.id for item in record.amendments} - set(spec.new):
            may_not, may = ", ".join(sorted(closed)), ", ".join(spec.new) or "none"
            raise ValueError(f"amendments: {may_not} may not be amended now, only {may}")

    record = await ask(context, "decision", SECRETARY, shown, DecisionRecord, fits)
    spec.decision, spec.profile = record.value, record.value.profile
    spec.requirement_list = amended(spec.requirement_list, record.value.amendments)
    spec.requirements = specs.requirements_text(spec.requirement_list)
    await _record(context, spec, SECRETARY, record.value.message, record.value.objections, last=True)
    return Outcome.NEXT


def next_speaker(said: list[Contribution]) -> Role | None:
    """Who speaks next. None after the last round, or after a round without objections."""
    full_rounds, place = divmod(len(said), len(SPEAKERS))
    if full_rounds >= ROUNDS:
        return None
    if place == 0 and said and not any(turn.objections for turn in said[-len(SPEAKERS) :]):
        return None
    return SPEAKERS[place]


def amended(requirements: list[Requirement], amendments: list[Amendment]) -> list[Requirement]:
    """The requirements as the discussion has left them, in their order."""
    words = {item.id: item for item in amendments}
    return [
        item.model_copy(
            update={
                "description": words[item.id].description,
                "priority": words[item.id].priority or item.priority,
            }
        )
        if item.id in words
        else item
        for item in requirements
    ]


async def _kinds(context: Context, spec: Spec) -> list[Kind]:
    """The profiles to choose from: those that the boxes can serve, or on a continuation the app's own. Stored
    once per run, so that another worker continues with the same."""

    async def make() -> Result:
        run = await context.run()
        if run.requirements and spec.profile:
            found = [find(spec.profile)]
        else:
            found = await context.served.profiles(context.resources.runtime)
        return Result(
            _KINDS.dump_json([Kind(name=p.name, title=p.title, when=p.when) for p in found]).decode()
        )

    return _KINDS.validate_json(await once(context, "profiles", "tool", "profiles", make))


async def _facts(context: Context, spec: Spec, kinds: list[Kind], speaker: Role) -> DiscussionFacts:
    run = await context.run()
    return DiscussionFacts(
        summary=spec.summary,
        requirements=spec.requirement_list,
        assumptions=spec.assumptions,
        profiles=kinds,
        continuation=run.requirements,
        new=spec.new if run.requirements else [],
        before=before_of(spec) if run.requirements else None,
        said=[Said(who=t.agent, text=t.content, objections=t.objections) for t in spec.discussion],
        round=len(spec.discussion) // len(SPEAKERS) + 1,
        speaker=speaker.agent,
    )


async def _record(
    context: Context,
    spec: Spec,
    role: Role,
    message: str,
    objections: list[str],
    *,
    last: bool = False,
) -> None:
    async with context.change() as change:
        step = changes.add_step(change.unit, change.job, change.run, role.agent, message)
        spec.discussion.append(
            Contribution(agent=role.agent, role=role.purpose, content=step.message, objections=objections)
        )
        await specs.store(change, spec)
        if last:
            end_stage(change)
        else:
            change.advance()
