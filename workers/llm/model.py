"""What a language model is to us: one question in, one answer out.

Loop, retries, limits, budgets and durable steps are ours and live elsewhere; an implementation only
translates one request. Implementations: `provider` (real ones), `workers.rehearsal` (the scripted cast),
`scripted` (for tests).
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
    assistant turn is `Answer.thoughts`: some models want to be shown their own again."""

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    thoughts: str = ""


@dataclass(frozen=True)
class Question:
    """All that is sent. `agent` is who is asked (see `domain.conversation.Agent`) and `purpose` which of the
    shapes in `agents.outputs` or loops is wanted; with `schema` the answer's text is to be that JSON."""

    agent: str
    purpose: str
    instructions: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    tools: tuple[ToolSpec, ...] = ()
    max_tokens: int = 4096


@dataclass(frozen=True)
class Tokens:
    """`cached` are those of `input` that were read from the provider's cache, at a lower price."""

    input: int = 0
    output: int = 0
    cached: int = 0


@dataclass(frozen=True)
class Answer:
    """What came back. `model` names who spoke; `finish_reason` is `stop`, `length`, `tool_calls` or
    `content_filter`. `tokens` is None when the server did not say; `thoughts` is for its own model."""

    text: str
    model: str
    calls: tuple[ToolCall, ...] = ()
    tokens: Tokens | None = None
    finish_reason: str = "stop"
    thoughts: str = ""


class Then(StrEnum):
    """What to do about a request that failed: the same again, another model, or nothing."""

    AGAIN = "again"
    ELSEWHERE = "elsewhere"
    NOTHING = "nothing"


class ModelUnavailable(Exception):
    """It cannot be reached, or answers with errors. The message is fit for people and holds no key.

    `outcome` is a word for the attempt's row; `may_cost` that the provider had begun to answer and may charge
    for it; `retry_after` what the server asked for, in seconds.
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


class ModelMisbehaved(Exception):
    """It answers, but what it says cannot be used even after asking again."""


Hear = Callable[[str], None]
"""Told the text so far, each time there is more of it. Does not block."""


class Model(Protocol):
    """A language model. `name` is shown to people wherever it speaks."""

    name: str

    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        """One request, no more. Raises ModelUnavailable. Cancelling closes the request."""

    def price(self, tokens: Tokens) -> float | None:
        """What so many tokens cost, in USD; None when nobody knows."""
