"""What the agents are shown: each question's first user message is one of these, as JSON.

Prompts in `prompts/*.md` explain the fields to a language model; the rehearsal cast reads the same JSON.
Client Relations is the exception: it reads the conversation itself, as chat turns.
"""

from pydantic import BaseModel, ConfigDict

from app.domain.ticket import Check, TicketStatus, TicketType
from workers.agents.outputs import OpenQuestion, Prd, Requirement, TicketDraft

SUM_UP = "[The client asks to start now: ask nothing more and sum up with what you know.]"
"""The last user turn when Client Relations has to end the conversation."""


class Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Chat(Facts):
    """One message of the conversation with the client, which has a `number`. With `contract` the names in it
    hold to the letter."""

    number: int
    who: str
    text: str
    contract: bool = False


class Said(Facts):
    """One turn of the discussion, with what its speaker objected to."""

    who: str
    text: str
    objections: list[str] = []


class Before(Facts):
    """What was decided and left open in the run before a continuation."""

    decision: str
    questions: list[OpenQuestion]
    out_of_scope: list[str] = []


class AnalysisFacts(Facts):
    """For the Business Analyst. `continuation` is the client's new wish, empty in a first run; then
    `known` holds the requirements of the run before, and `before` what was decided in it."""

    conversation: list[Chat]
    summary: str
    continuation: str
    known: list[Requirement]
    before: Before | None = None


class Kind(Facts):
    """A profile that the box can serve, and when to choose it."""

    name: str
    title: str
    when: str


class DiscussionFacts(Facts):
    """For CEO, CTO and Secretary. `profiles` are the kinds of apps to choose from, `new` the ids of the
    requirements that a continuation adds or changes. What differs between two turns stands at the end, so
    that a provider can read the rest from its cache: `round` counts from 1, `speaker` is who is asked."""

    requirements: list[Requirement]
    summary: str
    assumptions: list[str]
    profiles: list[Kind] = []
    continuation: str
    new: list[str] = []
    before: Before | None = None
    said: list[Said]
    round: int
    speaker: str = ""


class Decided(Facts):
    """What of the Secretary's record binds those who come after."""

    decision: str
    objections: list[str] = []


class PrdFacts(Facts):
    """For the Project Manager. `new` are the ids of the requirements to write: in a first run all. `before`
    is the PRD of the run before; its promises stand in `requirements`."""

    summary: str
    conversation: list[Chat] = []
    requirements: list[Requirement]
    new: list[str] = []
    assumptions: list[str]
    continuation: str
    before: Prd | None = None
    decision: Decided
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
    """For the Project Manager. `requirements` are as the PRD promises them, so `prd` comes without them;
    those of `uncovered` need a ticket. Finished `known` tickets stay. `stack` is what the box holds for this
    profile, and what is checked with every ticket; with a `browser` there may be `page` checks. One answer
    may have `answer_tokens` tokens."""

    prd: Prd
    requirements: list[Requirement]
    conversation: list[Chat] = []
    uncovered: list[str]
    continuation: str
    decision: Decided
    profile: str
    stack: str = ""
    browser: bool = False
    known: list[KnownTicket]
    answer_tokens: int = 8000


class ProvingFacts(Facts):
    """For the Project Manager, about the checks of the tickets of a new plan: `tickets` is all of it, without
    checks; of the client's words there are only texts whose names hold to the letter. It is the same for each
    of them; which one is asked about is the message after it, an `AskedTicket`."""

    profile: str
    stack: str = ""
    browser: bool = False
    contract: list[str] = []
    requirements: list[Requirement]
    summary: str
    continuation: str
    decision: str
    tickets: list[TicketDraft]


class AskedTicket(Facts):
    """The ticket of which the checks are asked for, by its key. `before` are the checks of one that is
    planned again, for the criteria `criteria_before`. With `missing` it has its checks already, those of
    `before`, and is asked for more: the reviewer has missed something in it. The answer may have
    `answer_tokens` tokens."""

    ticket: str
    before: list[Check] = []
    criteria_before: list[str] = []
    missing: list[str] = []
    answer_tokens: int


class ComparedTicket(Facts):
    """A ticket of the new plan as the reviewer sees it. Its `checks` are shown where the client's text has
    names that hold to the letter."""

    key: str
    title: str
    description: str
    requirements: list[str]
    acceptance_criteria: list[str]
    checks: list[Check] = []
    skip_reason: str = ""


class ComparisonFacts(Facts):
    """For the CTO as the reviewer, before the build: what the client wrote, what became of it, and the plan.
    `new` are the ids of the requirements that a continuation adds or changes."""

    conversation: list[Chat]
    continuation: str
    requirements: list[Requirement]
    new: list[str] = []
    out_of_scope: list[str]
    tickets: list[ComparedTicket]


class ContestFacts(Facts):
    """For the Project Manager: a check that the Builder calls wrong (`why`), the ticket and its other checks,
    and what the check said when the service ran it just now."""

    summary: str
    requirements: list[Requirement]
    contract: list[str] = []
    decision: str
    profile: str
    stack: str = ""
    browser: bool = False
    ticket: str
    description: str
    acceptance_criteria: list[str]
    check: Check
    others: list[Check]
    why: str
    output: str


class Reviewed(Facts):
    """A ticket as the reviewer sees it; `reason` says why it was left out."""

    title: str
    status: TicketStatus
    acceptance_criteria: list[str]
    reason: str


class ReviewFacts(Facts):
    """For the CTO as the reviewer: what was promised, and what the run made of it. `requirements` are as the
    PRD promises them, so `prd` comes without them; `new` are those that a continuation adds or changes.
    `diff` is cut (`cut`) where it is long; with a `browser` there may be `page` checks."""

    prd: Prd
    requirements: list[Requirement]
    new: list[str] = []
    conversation: list[Chat] = []
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
    """A ticket that is done, and what the Builder said it did."""

    title: str
    summary: str


class BuildingFacts(Facts):
    """For the Builder: one ticket, and what it needs to know. What is the same for all tickets of a run
    stands first, and of it first what stays on a continuation, so that a provider can read it from its
    cache.

    `requirements` are as the PRD promises them, `serves` the ids of those that the ticket is for; `contract`
    are texts of the client whose names hold to the letter. `files` is the map of the repository (paths
    relative to /app), `outline` where in it what is defined, as far as that goes without reading it all;
    `finished` are the titles of closed tickets, `lately` the last of them, oldest first. `attempt` counts
    from 1; `failures` are those of the attempt before; `tried` is a diff of all that was tried, where that
    alone was not enough, and `fresh` says that it has been taken back."""

    title: str
    profile: str
    stack: str = ""
    contract: list[str] = []
    requirements: list[Requirement]
    summary: str
    out_of_scope: list[str] = []
    decision: str
    finished: list[str]
    lately: list[Closed]
    ticket: str
    serves: list[str] = []
    description: str
    acceptance_criteria: list[str]
    checks: list[Check]
    files: list[str]
    outline: str = ""
    attempt: int
    fresh: bool
    failures: list[Failure]
    tried: str
