"""The shapes of the agents' answers. Each is the JSON a question asks for; no dicts, no surprises.

Lengths bound what a rambling model can make us store. Rules across fields are validated here too, so that
a re-ask can quote them.
"""

from collections.abc import Set
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.domain.contests import Verdict
from app.domain.ticket import Check, TicketType, execution_order
from workers.profiles.catalogue import HOUSE_STYLE

MAX_CHECKS = 24
"""Of a ticket."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Paragraph = Annotated[str, StringConstraints(min_length=1, max_length=4000)]


class Output(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClientReply(Output):
    """Client Relations, purpose `intake`: one reply to the client. `done` ends the conversation; then
    `reply` says goodbye and `summary` is what was agreed, in the client's words."""

    reply: Paragraph
    done: bool
    summary: Annotated[str, StringConstraints(max_length=4000)] = ""

    @model_validator(mode="after")
    def _summed_up(self) -> "ClientReply":
        if self.done and not self.summary.strip():
            raise ValueError("summary: must not be empty when done is true")
        return self


class Requirement(Output):
    """`id` is R1, R2, …; ids of an earlier run keep their meaning."""

    id: Annotated[str, StringConstraints(pattern=r"^R[1-9][0-9]{0,2}$")]
    title: Line
    description: Paragraph
    priority: Literal["must", "should", "could"]


class Requirements(Output):
    """Business Analyst, purpose `analysis`: everything that is wanted; on a continuation only what is new,
    and what is `changed`: the ids of the old whose meaning the new wish changes. `contract` are the numbers
    of the client's messages whose names hold to the letter. `summary` replaces the job's prompt."""

    summary: Paragraph
    requirements: Annotated[list[Requirement], Field(max_length=60)] = []
    changed: Annotated[list[str], Field(max_length=60)] = []
    contract: Annotated[list[int], Field(max_length=60)] = []
    assumptions: Annotated[list[Line], Field(max_length=20)] = []

    @model_validator(mode="after")
    def _distinct(self) -> "Requirements":
        ids = [item.id for item in self.requirements]
        if len(set(ids)) != len(ids):
            raise ValueError("requirements: ids must be distinct")
        return self


class Turn(Output):
    """CEO or CTO, purpose `discussion`: one turn of the executives' discussion."""

    message: Paragraph
    objections: Annotated[list[Line], Field(max_length=10)] = []


class Option(Output):
    name: Line
    in_favour: Line
    against: Line


class Amendment(Output):
    """What a requirement asks for from now on, as the discussion has decided. An empty `priority` keeps it as
    it was."""

    id: str
    description: Paragraph
    priority: Literal["must", "should", "could", ""] = ""


class DecisionRecord(Output):
    """Secretary, purpose `decision`: what was weighed, what was objected, what was decided. `amendments` are
    the requirements that the decision changes. `profile` is the kind of app it will be, one of those that
    were offered."""

    message: Paragraph
    options: Annotated[list[Option], Field(min_length=1, max_length=6)]
    objections: Annotated[list[Line], Field(max_length=10)] = []
    decision: Paragraph
    amendments: Annotated[list[Amendment], Field(max_length=20)] = []
    profile: Annotated[str, StringConstraints(min_length=1, max_length=64)] = HOUSE_STYLE


class PrdRequirement(Output):
    id: Annotated[str, StringConstraints(pattern=r"^R[1-9][0-9]{0,2}$")]
    text: Paragraph
    priority: Literal["must", "should", "could"]


class OpenQuestion(Output):
    """A question that nobody has answered, and what is assumed until somebody does."""

    question: Line
    assumed: Line


class Prd(Output):
    """Project Manager, purpose `prd`. On a continuation `requirements` need only have what is new or changed;
    of the others `left_out` names those of priority `could` that it leaves out. `open_questions` repeats the
    `questions` without their answers, for clients."""

    title: Line
    problem: Paragraph
    goals: Annotated[list[Line], Field(min_length=1, max_length=12)]
    users: Annotated[list[Line], Field(min_length=1, max_length=12)]
    requirements: Annotated[list[PrdRequirement], Field(max_length=60)] = []
    left_out: Annotated[list[str], Field(max_length=60)] = []
    out_of_scope: Annotated[list[Line], Field(max_length=20)] = []
    questions: Annotated[list[OpenQuestion], Field(max_length=20)] = []
    open_questions: Annotated[list[Line], Field(max_length=20)] = []


class TicketDraft(Output):
    """`key` is T1, T2, … for a new ticket, or the id of a ticket of an earlier run that is open, or of which
    a requirement has changed: it is taken up again and keeps its id. `parent` and `depends_on` name keys of
    this backlog or ids of kept tickets; no story or task depends on an epic. The checks are asked for
    afterwards, ticket by ticket, unless they are here already; an epic has neither criteria nor checks."""

    key: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    type: TicketType
    title: Line
    description: Annotated[str, StringConstraints(max_length=4000)] = ""
    parent: Annotated[str, StringConstraints(max_length=40)] = ""
    depends_on: Annotated[list[str], Field(max_length=50)] = []
    requirements: Annotated[list[str], Field(max_length=60)] = []
    acceptance_criteria: Annotated[list[Line], Field(max_length=12)] = []
    checks: Annotated[list[Check], Field(max_length=MAX_CHECKS)] = []
    skip_reason: Annotated[str, StringConstraints(max_length=500)] = ""
    """Set when this cannot be done here: the ticket is `skipped` and named in the closing message."""

    @model_validator(mode="after")
    def _checked(self) -> "TicketDraft":
        if self.type is TicketType.EPIC:
            if self.acceptance_criteria or self.checks:
                raise ValueError(f"{self.key}: an epic has neither acceptance_criteria nor checks")
            return self
        if self.skip_reason:
            return self
        if not self.acceptance_criteria:
            raise ValueError(f"{self.key}: acceptance_criteria must not be empty")
        if any(check.criterion >= len(self.acceptance_criteria) for check in self.checks):
            raise ValueError(f"{self.key}: a check names a criterion that does not exist")
        return self


class Kept(Output):
    """A check that a ticket had before and keeps, with the `criterion` that it proves from now on."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    criterion: Annotated[int, Field(ge=0)]


class Checks(Output):
    """Project Manager, purpose `checks`: how one ticket is proven. `criteria` are further sentences of its
    acceptance criteria, where the reviewer has missed something in the plan."""

    criteria: Annotated[list[Line], Field(max_length=8)] = []
    checks: Annotated[list[Check], Field(max_length=24)] = []
    keep: Annotated[list[Kept], Field(max_length=24)] = []


class Contested(Output):
    """Project Manager, purpose `contest`: what becomes of a check that the Builder calls wrong. `check` is
    what it becomes when it is mended."""

    verdict: Verdict
    why: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    check: Check | None = None

    @model_validator(mode="after")
    def _mended(self) -> "Contested":
        if (self.check is not None) != (self.verdict is Verdict.MEND):
            raise ValueError("check: there is one when the verdict is `mend`, and only then")
        return self


def refuse_epics(draft: TicketDraft, epics: Set[str]) -> None:
    """Raises ValueError if a story or task depends on an epic. An epic is done when its tickets are, so a
    ticket that waits for its own epic would wait for itself."""
    found = epics & set(draft.depends_on)
    if found and draft.type is not TicketType.EPIC:
        raise ValueError(
            f"{draft.key}: depends_on must name stories and tasks, not an epic ({', '.join(sorted(found))})"
        )


class Backlog(Output):
    """Project Manager, purpose `ticketing`: the new tickets, in the order they are best done. With `more`
    there are others, which are asked for next."""

    tickets: Annotated[list[TicketDraft], Field(min_length=1, max_length=80)]
    more: bool = False

    @model_validator(mode="after")
    def _acyclic(self) -> "Backlog":
        keys = [ticket.key for ticket in self.tickets]
        if len(set(keys)) != len(keys):
            raise ValueError("tickets: keys must be distinct")
        known = set(keys)
        within = {t.key: [dep for dep in t.depends_on if dep in known] for t in self.tickets}
        execution_order(keys, within)
        epics = {t.key for t in self.tickets if t.type is TicketType.EPIC}
        for ticket in self.tickets:
            if ticket.parent in known and ticket.parent not in epics:
                raise ValueError(f"{ticket.key}: parent must be an epic")
            refuse_epics(ticket, epics)
        if all(t.type is TicketType.EPIC for t in self.tickets):
            raise ValueError("tickets: there must be at least one story or task")
        return self


class Gap(Output):
    """Something that the client has asked for and the plan does not: the `ticket`, by its key, that should
    prove it."""

    ticket: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    missing: Line


class Comparison(Output):
    """CTO, purpose `comparison`: the plan read against the client's words. Without `gaps` it is passed."""

    message: Paragraph
    gaps: Annotated[list[Gap], Field(max_length=8)] = []


class FixDraft(Output):
    """What the reviewer found broken, and checks that fail as long as it is."""

    title: Line
    description: Paragraph
    requirements: Annotated[list[str], Field(max_length=60)] = []
    acceptance_criteria: Annotated[list[Line], Field(min_length=1, max_length=6)]
    checks: Annotated[list[Check], Field(min_length=1, max_length=12)]

    @model_validator(mode="after")
    def _checked(self) -> "FixDraft":
        if {check.criterion for check in self.checks} != set(range(len(self.acceptance_criteria))):
            raise ValueError(f"{self.title}: each criterion needs a check, and each check a criterion")
        return self


class Review(Output):
    """CTO, purpose `review`: the finished build read against the PRD. Without `fixes` it is passed. `next`
    are wishes that the client may want to have next."""

    message: Paragraph
    fixes: Annotated[list[FixDraft], Field(max_length=3)] = []
    next: Annotated[list[Line], Field(max_length=3)] = []
