"""What a language model is to us: one question in, one answer out.

Loop, retries, limits, budgets and durable steps are ours and live elsewhere; an implementation only
translates. Implementations: `rehearsal` (the scripted cast), `scripted` (for tests), later real providers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    """One turn. A `tool` turn answers the call `call_id` of the assistant turn before it."""

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""


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
class Answer:
    """What came back. `model` names who spoke; `finish_reason` is `stop`, `length` or `tool_calls`."""

    text: str
    model: str
    calls: tuple[ToolCall, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    finish_reason: str = "stop"
    details: Mapping[str, Any] = field(default_factory=dict)


class ModelUnavailable(Exception):  # noqa: N818
    """It cannot be reached, or answers with errors."""


class ModelMisbehaved(Exception):  # noqa: N818
    """It answers, but what it says cannot be used even after asking again."""


class Model(Protocol):
    """A language model. `name` is shown to people wherever it speaks."""

    name: str

    async def ask(self, question: Question) -> Answer:
        """Raises ModelUnavailable. Cancelling closes the request."""
