"""What a run is doing at this moment, in words for its client.

It is sent every few seconds to sockets that ask for it, as `progress`: neither stored nor numbered. What has
come of it is told by events.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from uuid import UUID


@dataclass(eq=False)
class Doing:
    """Something that takes a while. `checks` is how many checks it runs, 0 if it runs none."""

    words: str
    ticket_id: UUID | None = None
    checks: int = 0
    passed: int = 0
    failed: int = 0
    began: float = field(default_factory=monotonic)

    def __str__(self) -> str:
        if not self.checks:
            return f"{self.words} ({monotonic() - self.began:.0f} s)"
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.words}, {self.passed} passed{failed}"


class Progress:
    """What is going on; what began last counts. Works of one run may overlap."""

    def __init__(self) -> None:
        self._doing: list[Doing] = []

    @property
    def now(self) -> Doing | None:
        return self._doing[-1] if self._doing else None

    @contextmanager
    def doing(self, words: str, ticket_id: UUID | None = None) -> Iterator[None]:
        """Within the block this is what the run does."""
        with self._while(Doing(words, ticket_id)):
            yield

    @contextmanager
    def checking(self, checks: int, ticket_id: UUID | None = None) -> Iterator[None]:
        """Within the block the run runs so many checks, and `checked` counts them."""
        words = "running a check" if checks == 1 else f"running {checks} checks"
        with self._while(Doing(words, ticket_id, checks)):
            yield

    def checked(self, *, passed: bool) -> None:
        """A check has come to its end."""
        counting = next((doing for doing in reversed(self._doing) if doing.checks), None)
        if counting is not None:
            counting.passed += passed
            counting.failed += not passed

    @contextmanager
    def _while(self, doing: Doing) -> Iterator[None]:
        self._doing.append(doing)
        try:
            yield
        finally:
            self._doing.remove(doing)
