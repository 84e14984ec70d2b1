"""How to talk to a model's server. In a module of its own, so that it can be imported without the library."""

from dataclasses import dataclass
from typing import Literal

SchemaMode = Literal["native", "tool", "prompted"]
"""How a typed answer is asked for: a JSON schema the server enforces, a tool that takes it, or words."""

Reasoning = Literal["off", "low", "medium", "high"]
"""How much a model should think before it answers."""


@dataclass(frozen=True)
class TimeLimits:
    """Seconds: to connect, to the first piece of an answer, between two pieces, and for the whole call."""

    connect_s: float = 10
    first_token_s: float = 120
    gap_s: float = 60
    call_s: float = 600


@dataclass(frozen=True)
class Endpoint:
    """Without `stream` only the first and the last time limit are used. Without `reasoning` nothing is said
    of it. No answer, with its thoughts, may be longer than `longest` tokens."""

    times: TimeLimits = TimeLimits()
    schema_mode: SchemaMode = "native"
    stream: bool = True
    reasoning: Reasoning | None = None
    longest: int | None = None
