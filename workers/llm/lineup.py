"""Which model is asked for which agent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.llm.model import Model


@dataclass(frozen=True)
class Patience:
    """How often a model that fails is asked the same question, and the pauses in seconds: the first, and the
    longest.

    A server that is overloaded, starting or away (`Then.LATER`) is waited for in seconds instead of tries:
    `in_slot_s` by the worker that asks, then without one, asked every `again_s` unless the server names a
    time, up to `wait_s` altogether."""

    tries: int = 4
    first_pause_s: float = 1.0
    longest_pause_s: float = 20.0
    in_slot_s: float = 60.0
    again_s: float = 20.0
    wait_s: float = 600.0


@dataclass(frozen=True)
class Lineup:
    """The models of a worker. `roles` is by agent (`domain.conversation.Agent`); `strong` makes the last
    attempts at a ticket; `fallback` is asked when another model cannot be reached. No answer may be longer
    than `longest` tokens."""

    first: Model
    roles: Mapping[str, Model] = field(default_factory=dict)
    strong: Model | None = None
    fallback: Model | None = None
    patience: Patience = Patience()
    longest: int | None = None

    @property
    def name(self) -> str:
        return self.first.name

    def answer_tokens(self, wanted: int) -> int:
        """How many tokens an answer may have, if the role allows `wanted`."""
        return wanted if self.longest is None else min(wanted, self.longest)

    def speakers(self, agent: str, *, strong: bool = False) -> tuple[Model, ...]:
        """The models to ask for this agent, one after the other."""
        first = (self.strong if strong else None) or self.roles.get(agent, self.first)
        if self.fallback is None or self.fallback.name == first.name:
            return (first,)
        return (first, self.fallback)
