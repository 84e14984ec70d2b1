"""The plan compared with the client's own words, once a run, before anything is built.

Whoever plans reads what others have made of the client's words; a thing that was lost on the way is found
nowhere later, since everything that is planned is proven. See decision 45.
"""

from dataclasses import dataclass

from app.actions import changes
from app.domain.ticket import TicketType
from app.domain.values import clean
from workers.agents.ask import ask, facts
from workers.agents.facts import ComparedTicket, ComparisonFacts, TicketingFacts
from workers.agents.outputs import MAX_CHECKS, Backlog, Comparison, Gap, TicketDraft
from workers.agents.roles import COMPARER
from workers.context import Change, Context
from workers.pipeline import spec as specs
from workers.pipeline.proof.planned import with_missing
from workers.pipeline.spec import Spec

FULL = f"Not added, since their tickets have {MAX_CHECKS} checks already, which is the most:"


@dataclass(frozen=True)
class Compared:
    """What the reviewer has said of the plan: the gaps that were `added` to it, and those that were
    `left_out`."""

    said: Comparison
    model: str
    added: list[Gap]
    left_out: list[Gap]

    def tell(self, change: Change) -> None:
        """Store the reviewer's words as a message to the client."""
        lines = [self.said.message]
        for words, gaps in (("Added to the plan:", self.added), (FULL, self.left_out)):
            if gaps:
                lines += ["", words, *(f"- {gap.missing}" for gap in gaps)]
        changes.add_message(
            change.unit,
            change.job,
            "agent",
            COMPARER.agent,
            clean("\n".join(lines)),
            {"stage": change.stage.shown_as, "model": self.model},
        )


async def compare(context: Context, shown: TicketingFacts, backlog: Backlog) -> tuple[Backlog, Compared]:
    """The backlog with criteria and checks for what the reviewer has missed in it. Raises what `ask`
    raises."""
    built = {d.key for d in backlog.tickets if d.type is not TicketType.EPIC and not d.skip_reason}

    def fits(answer: Comparison) -> None:
        if unknown := {gap.ticket for gap in answer.gaps} - built:
            raise ValueError(f"gaps: {', '.join(sorted(unknown))} is no ticket of the plan that is built")

    told = _told(await specs.load(context), shown, backlog)
    spoken = await ask(context, "comparison", COMPARER, facts(told), Comparison, fits)
    missing: dict[str, list[str]] = {}
    # What is missing needs a check, and a full ticket can take none: each answer would be refused.
    full = {d.key for d in backlog.tickets if len(d.checks) >= MAX_CHECKS}
    added = [gap for gap in spoken.value.gaps if gap.ticket not in full]
    left_out = [gap for gap in spoken.value.gaps if gap.ticket in full]
    for gap in added:
        missing.setdefault(gap.ticket, []).append(gap.missing)
    compared = Compared(spoken.value, spoken.model, added, left_out)
    return await with_missing(context, shown, backlog, missing), compared


def _told(spec: Spec, shown: TicketingFacts, backlog: Backlog) -> ComparisonFacts:
    whole = bool(spec.contract)
    return ComparisonFacts(
        conversation=shown.conversation,
        continuation=shown.continuation,
        requirements=shown.requirements,
        new=spec.new if shown.continuation else [],
        out_of_scope=shown.prd.out_of_scope,
        tickets=[_ticket(d, whole=whole) for d in backlog.tickets if d.type is not TicketType.EPIC],
    )


def _ticket(draft: TicketDraft, *, whole: bool) -> ComparedTicket:
    return ComparedTicket(
        key=draft.key,
        title=draft.title,
        description=draft.description,
        requirements=draft.requirements,
        acceptance_criteria=draft.acceptance_criteria,
        checks=draft.checks if whole else [],
        skip_reason=draft.skip_reason,
    )
