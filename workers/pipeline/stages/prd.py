"""The Project Manager writes the PRD, as typed data and as Markdown."""

from app.actions import changes
from workers.agents.ask import ask, facts
from workers.agents.facts import PrdFacts
from workers.agents.outputs import DecisionRecord, Prd
from workers.agents.roles import PRD_WRITER
from workers.context import Context
from workers.pipeline import spec as specs
from workers.pipeline.enter import end_stage
from workers.pipeline.outcome import Outcome


async def prd(context: Context) -> Outcome:
    spec = await specs.load(context)
    run = await context.run()
    assert spec.decision is not None, "the discussion ends with the Secretary's record"
    known = {item.id for item in spec.requirement_list}
    wanted = {item.id for item in spec.requirement_list if item.priority != "could"}

    def covers(answer: Prd) -> None:
        _covers(known, wanted, answer)

    shown = PrdFacts(
        summary=spec.summary,
        requirements=spec.requirement_list,
        assumptions=spec.assumptions,
        continuation=run.requirements,
        decision=spec.decision,
        profile=spec.profile,
    )
    spoken = await ask(context, "prd", PRD_WRITER, facts(shown), Prd, covers)
    async with context.change() as change:
        spec.prd = spoken.value
        app = await specs.store(change, spec)
        app.prd_markdown = markdown(spoken.value, spec.decision)
        app.prd_generated_at = change.unit.moment()
        changes.tell_prd(change.unit, app)
        end_stage(change)
    return Outcome.NEXT


def _covers(known: set[str], wanted: set[str], answer: Prd) -> None:
    named = {item.id for item in answer.requirements}
    if unknown := named - known:
        raise ValueError(f"requirements: {', '.join(sorted(unknown))} are not among the requirements")
    if missing := wanted - named:
        raise ValueError(f"requirements: {', '.join(sorted(missing))} are missing")


def markdown(document: Prd, decision: DecisionRecord) -> str:
    """The PRD as Markdown."""
    sections = [
        f"# {document.title}",
        document.problem,
        _list("Goals", document.goals),
        _list("Users", document.users),
        "## Requirements\n\n"
        + "\n".join(f"- **{item.id}** ({item.priority}) {item.text}" for item in document.requirements),
        f"## Decision\n\n{decision.decision}",
        _list("Out of scope", document.out_of_scope),
        _list("Open questions", document.open_questions),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _list(title: str, lines: list[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""
