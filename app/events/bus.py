"""Hints that a job has new events.

The events themselves are in the log. A hint may be lost, late, repeated or out of order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True)
class Numbered:
    """A committed event: its number in the job's log, and its JSON exactly as it is sent to sockets."""

    seq: int
    payload: str


class Bus(Protocol):
    """Implementations never raise and do not wait until anything has been sent. They send in the order of the
    calls."""

    async def tell(self, job_id: UUID, events: Sequence[Numbered]) -> None:
        """Hint that these events were committed. No events means "look at the log now": the job was
        deleted."""

    async def whisper(self, job_id: UUID, payload: str) -> None:
        """Send something that is neither stored nor numbered to the sockets that are open now."""

    async def close(self) -> None:
        """Close, after waiting a short time for what is still to be sent."""
