"""The protocol of a language model: one question in, one answer out.

Tool loops, retries, limits, budgets and durable steps are elsewhere. An implementation only translates one
request. Implementations: `provider` (real ones), `workers.rehearsal` (the scripted cast), `scripted` (for
tests).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class ToolSpec:
    """A tool the model may call; `parameters` is a JSON schema of an object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """`arguments` is the raw JSON the model wrote: unchecked."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Message:
    """One turn. A `tool` turn answers the call `call_id` of the assistant turn before it. `thoughts` of an
    assistant turn is `Answer.thoughts`: some models need to get their own reasoning again."""

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    thoughts: str = ""


@dataclass(frozen=True)
class Question:
    """All that is sent. `agent` is who is asked (see `domain.conversation.Agent`); `purpose` names the
    prompt. With `schema` the answer's text should be JSON of that schema."""

    agent: str
    purpose: str
    instructions: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int = 4096


@dataclass(frozen=True)
class Tokens:
    """Of `input`, `cached` were read from the provider's cache, at a lower price, and `written` were stored
    there, which some take a higher price for."""

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0


@dataclass(frozen=True)
class Answer:
    """The answer. `model` is the name of the model; `finish_reason` is `stop`, `length`, `tool_calls`,
    `content_filter` or `other`. `tokens` is None when the server did not say; `thoughts` is for its own
    model."""

    text: str
    model: str
    calls: tuple[ToolCall, ...] = ()
    tokens: Tokens | None = None
    finish_reason: str = "stop"
    thoughts: str = ""


class Then(StrEnum):
    """What to do after a request has failed: ask again at once, because it is asked otherwise; a few times
    again; again when the server has recovered; ask another model; or give up."""

    AT_ONCE = "at once"
    AGAIN = "again"
    LATER = "later"
    ELSEWHERE = "elsewhere"
    NOTHING = "nothing"


class ModelUnavailable(Exception):
    """The model cannot be reached, or answers with errors. The message can be shown to people and contains no
    key.

    `outcome` is a word for the attempt's row; `may_cost` that the provider had begun to answer and may charge
    for it; `retry_after` what the server asked for, in seconds. `spent` is what it has cost, as far as is
    known (an input of 0 is not known); None if nothing is.
    """

    def __init__(
        self,
        detail: str,
        *,
        then: Then = Then.ELSEWHERE,
        outcome: str = "error",
        may_cost: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.then = then
        self.outcome = outcome
        self.may_cost = may_cost
        self.retry_after = retry_after
        self.spent: Tokens | None = None


class ModelMisbehaved(Exception):
    """The model's answers cannot be used, even after asking again."""


Hear = Callable[[str], None]
"""Is called with the text so far, whenever there is more of it. Must not block."""


class Model(Protocol):
    """A language model. `name` is shown to people wherever it speaks."""

    name: str

    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        """One request, no more. Raises ModelUnavailable. Cancelling closes the request."""

    def price(self, tokens: Tokens) -> float | None:
        """What so many tokens cost, in USD; None if the price is unknown."""
