"""Who speaks for whom: the models of a worker, by role."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workers.llm.model import Model


@dataclass(frozen=True)
class Patience:
    """How often one model is asked the same when it fails, and the pauses between in seconds: the first, the
    longest of ours, and the longest `Retry-After` that is waited for."""

    tries: int = 4
    first_pause_s: float = 1.0
    longest_pause_s: float = 20.0
    longest_wait_s: float = 90.0


@dataclass(frozen=True)
class Lineup:
    """`roles` are by agent (`domain.conversation.Agent`); `strong` is for what others have failed at;
    `fallback` speaks when one of them cannot be reached. No answer is asked for that is longer than
    `longest` tokens."""

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
        """How long an answer may be to a role that would have `wanted` tokens."""
        return wanted if self.longest is None else min(wanted, self.longest)

    def speakers(self, agent: str, *, strong: bool = False) -> tuple[Model, ...]:
        """The models to ask, one after the other."""
        first = (self.strong if strong else None) or self.roles.get(agent, self.first)
        if self.fallback is None or self.fallback.name == first.name:
            return (first,)
        return (first, self.fallback)
