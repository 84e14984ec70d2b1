"""The bell of the event log: says that a job has something new, never what is true.

What it carries is a hint. The log is the truth; a hint may be lost, late, doubled or swapped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True)
class Numbered:
    """A committed event: its number in the job's log and the very text that is sent."""

    seq: int
    payload: str


class Bus(Protocol):
    """Implementations never raise, and wait for nobody: what they are told is on its way when they return, in
    the order in which it was told."""

    async def tell(self, job_id: UUID, events: Sequence[Numbered]) -> None:
        """Hint that these events were committed; none at all means "look now": the job was deleted."""

    async def whisper(self, job_id: UUID, payload: str) -> None:
        """Pass on what is neither stored nor numbered, to whoever listens now."""

    async def close(self) -> None:
        """Let go, once what is on its way has left or could not."""
