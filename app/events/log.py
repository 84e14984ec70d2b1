"""The event log as the hub reads it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from app.events.bus import Numbered

PAGE = 500
"""Events read in one go."""


class Log(Protocol):
    """Raises `Unavailable` while the database is away."""

    async def after(self, job_id: UUID, seq: int, limit: int = PAGE) -> Sequence[Numbered]:
        """The events with a number above `seq`, in order, at most `limit`."""

    async def heads(self, job_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """The last number of each job; a job that is gone is missing."""
