"""How the hub reads the event log."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from app.events.bus import Numbered

PAGE = 500
"""How many events are read at a time."""


class Log(Protocol):
    """Both methods raise Unavailable while the database is down."""

    async def after(self, job_id: UUID, seq: int, limit: int = PAGE) -> Sequence[Numbered]:
        """The events with a number above `seq`, in order, at most `limit`."""

    async def heads(self, job_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """The number of each job's last event. A job that was deleted is missing."""
