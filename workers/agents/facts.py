"""What the agents are shown: each question's first user message is one of these, as JSON.

Prompts in `prompts/*.md` explain the fields to a language model; the rehearsal cast reads the same JSON.
Client Relations is the exception: it reads the conversation itself, as chat turns.
"""

from pydantic import BaseModel, ConfigDict

from app.domain.ticket import Check, TicketStatus, TicketType
from workers.agents.outputs import DecisionRecord, Prd, PrdRequirement, Requirement, TicketDraft

SUM_UP = "[The client asks to start now: ask nothing more and sum up with what you know.]"
"""The last user turn when Client Relations has to end the conversation."""


class Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Said(Facts):
    """One line of the conversation or the discussion."""

    who: str
    text: str


class AnalysisFacts(Facts):
    """For the Business Analyst. `continuation` is the client's new wish, empty in a first run; then
    `known` holds the requirements of the run before."""

    idea: str
    summary: str
    conversation: list[Said]
    continuation: str
    known: list[Requirement]


class Kind(Facts):
    """A profile that the box can serve, and when to choose it."""

    name: str
    title: str
    when: str


class DiscussionFacts(Facts):
    """For CEO, CTO and Secretary. `round` counts from 1; `profiles` are the kinds of apps to choose from."""

    summary: str
    requirements: list[Requirement]
    assumptions: list[str]
    continuation: str
    round: int
    said: list[Said]
    profiles: list[Kind] = []


class PrdFacts(Facts):
    summary: str
    requirements: list[Requirement]
    assumptions: list[str]
    continuation: str
    decision: DecisionRecord
    profile: str


class KnownTicket(Facts):
    """A ticket of an earlier run. Of one that the client wrote or changed since (`of_client`), and of a
    finished one of which the new wish has changed a requirement (`changed`), it is told what it asks."""

    id: str
    type: TicketType
    title: str
    status: TicketStatus
    requirements: list[str]
    of_client: bool = False
    changed: bool = False
    parent: str = ""
    depends_on: list[str] = []
    description: str = ""
    acceptance_criteria: list[str] = []
    checks: list[Check] = []


class TicketingFacts(Facts):
    """For the Project Manager. Requirements of `uncovered` need a ticket; finished `known` tickets stay.
    `stack` is what the box holds for this profile, and what is checked with every ticket; with a `browser`
    there may be `page` checks. One answer may have `answer_tokens` tokens."""

    prd: Prd
    requirements: list[Requirement]
    uncovered: list[str]
    continuation: str
    decision: DecisionRecord
    profile: str
    stack: str = ""
    browser: bool = False
    known: list[KnownTicket]
    answer_tokens: int = 8000


class ProvingFacts(Facts):
    """For the Project Manager, about the checks of the tickets of a new plan: `tickets` is all of it, without
    checks. It is the same for each of them; which one is asked about is the message after it, an
    `AskedTicket`."""

    prd: Prd
    requirements: list[Requirement]
    continuation: str
    decision: str
    profile: str
    stack: str = ""
    browser: bool = False
    tickets: list[TicketDraft]


class AskedTicket(Facts):
    """The ticket of which the checks are asked for, by its key. `before` are the checks of one that is
    planned again, for the criteria `criteria_before`. The answer may have `answer_tokens` tokens."""

    ticket: str
    before: list[Check] = []
    criteria_before: list[str] = []
    answer_tokens: int


class Reviewed(Facts):
    """A ticket as the reviewer sees it; `reason` says why it was left out."""

    title: str
    status: TicketStatus
    acceptance_criteria: list[str]
    reason: str


class ReviewFacts(Facts):
    """For the CTO as the reviewer: what was promised, and what the run made of it. `diff` is cut (`cut`)
    where it is long; with a `browser` there may be `page` checks."""

    prd: Prd
    requirements: list[Requirement]
    continuation: str
    tickets: list[Reviewed]
    files: list[str]
    diff: str
    cut: bool
    browser: bool = False


class Failure(Facts):
    """Why the attempt before did not close the ticket."""

    reason: str
    criterion: str
    check: str
    output: str


class Closed(Facts):
    """A ticket that is done: what the Builder said it did, in the commit that closed it."""

    title: str
    summary: str
    commit: str


class BuildingFacts(Facts):
    """For the Builder: one ticket, and what it needs to know. `attempt` counts from 1; `failures` are those
    of the attempt before; `tried` is a diff of all that was tried, where that alone was not enough, and
    `fresh` says that it has been taken back. `prd` is what the PRD promises of `requirements`, and
    `out_of_scope` what it does not. `files` is the map of the repository (paths relative to /app), `outline`
    where in it what is defined, as far as that goes without reading it all; `finished` are the titles of
    closed tickets, `lately` the last of them, oldest first."""

    title: str
    summary: str
    requirements: list[Requirement]
    all_requirements: list[Requirement]
    prd: list[PrdRequirement] = []
    out_of_scope: list[str] = []
    decision: str
    profile: str
    stack: str = ""
    ticket: str
    description: str
    acceptance_criteria: list[str]
    checks: list[Check]
    attempt: int
    failures: list[Failure]
    tried: str
    fresh: bool
    files: list[str]
    outline: str = ""
    finished: list[str]
    lately: list[Closed]
