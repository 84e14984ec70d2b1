"""The Project Manager writes the PRD, as typed data and as Markdown."""

import re
from collections.abc import Sequence

from app.actions import changes
from workers.agents.ask import ask, facts
from workers.agents.facts import Decided, PrdFacts
from workers.agents.outputs import DecisionRecord, Prd, PrdRequirement, Requirement
from workers.agents.roles import PRD_WRITER
from workers.context import Context
from workers.pipeline import spec as specs
from workers.pipeline.enter import end_stage
from workers.pipeline.outcome import Outcome
from workers.pipeline.spec import Spec
from workers.pipeline.words import binding


async def prd(context: Context) -> Outcome:
    spec = await specs.load(context)
    decision = spec.decision
    assert decision is not None, "the discussion ends with the Secretary's record"

    def covers(answer: Prd) -> None:
        whole(spec, answer)

    spoken = await ask(context, "prd", PRD_WRITER, facts(await _facts(context, spec, decision)), Prd, covers)
    async with context.change() as change:
        spec.prd = whole(spec, spoken.value)
        app = await specs.store(change, spec)
        app.prd_markdown = markdown(spec.prd, decision, spec.contract)
        app.prd_generated_at = change.unit.moment()
        changes.tell_prd(change.unit, app)
        end_stage(change)
    return Outcome.NEXT


async def _facts(context: Context, spec: Spec, decision: DecisionRecord) -> PrdFacts:
    run = await context.run()
    before = spec.prd if run.requirements else None
    return PrdFacts(
        summary=spec.summary,
        conversation=await binding(context, spec),
        requirements=spec.promised(but=spec.new) if before else spec.requirement_list,
        new=spec.new,
        assumptions=spec.assumptions,
        continuation=run.requirements,
        before=before.model_copy(update={"requirements": [], "open_questions": []}) if before else None,
        decision=Decided(decision=decision.decision, objections=decision.objections),
        profile=spec.profile,
    )


def whole(spec: Spec, answer: Prd) -> Prd:
    """The PRD with every requirement that it promises. Those that this run neither adds nor changes keep the
    words of the PRD before. Raises ValueError if the answer names others, or lacks some."""
    ids = {item.id for item in spec.requirement_list}
    if unknown := ({item.id for item in answer.requirements} | set(answer.left_out)) - ids:
        raise ValueError(f"requirements: {', '.join(sorted(unknown))} are not among the requirements")
    before = {item.id: item for item in spec.prd.requirements} if spec.prd else {}
    texts = {item.id: item for item in answer.requirements}
    texts |= {key: item for key, item in before.items() if key not in spec.new}
    wanted = [item.id for item in spec.requirement_list if item.priority != "could"]
    if missing := [key for key in wanted if key not in texts]:
        raise ValueError(f"requirements: {', '.join(missing)} are missing")
    promised = [
        PrdRequirement(id=item.id, text=texts[item.id].text, priority=item.priority)
        for item in spec.requirement_list
        if item.id in texts and not _is_left_out(item, answer)
    ]
    questions = [*answer.open_questions, *(item.question for item in answer.questions)]
    return answer.model_copy(
        update={"requirements": promised, "open_questions": list(dict.fromkeys(questions))}
    )


def _is_left_out(item: Requirement, answer: Prd) -> bool:
    return item.priority == "could" and item.id in answer.left_out


def markdown(document: Prd, decision: DecisionRecord, contract: Sequence[str] = ()) -> str:
    """The PRD as Markdown. `contract` becomes its appendix, as it was written."""
    assumed = {item.question: f" Until then: {item.assumed}" for item in document.questions}
    sections = [
        f"# {document.title}",
        document.problem,
        _list("Goals", document.goals),
        _list("Users", document.users),
        "## Requirements\n\n"
        + "\n".join(f"- **{item.id}** ({item.priority}) {item.text}" for item in document.requirements),
        f"## Decision\n\n{decision.decision}",
        _list("Out of scope", document.out_of_scope),
        _list("Open questions", [f"{line}{assumed.get(line, '')}" for line in document.open_questions]),
        _appendix(contract),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _list(title: str, lines: Sequence[str]) -> str:
    return f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines) if lines else ""


def _appendix(texts: Sequence[str]) -> str:
    return "\n\n".join(["## Appendix: to the letter", *map(_verbatim, texts)]) if texts else ""


def _verbatim(text: str) -> str:
    """The text in a fence that is longer than any in it."""
    longest = max((len(found) for found in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
