"""Limits how many boxes are awake: at the limit the box that is idle longest is put to sleep."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from app.runtime.workspace import NoPlace, WorkspaceBusy


class Places:
    """At most `most` boxes may be awake. `awake` lists them; `idle` returns those of them that may be
    stopped, the longest idle first; `stop` puts one to sleep, or raises WorkspaceBusy.

    The limit is exact for boxes that one process starts. Processes that start boxes at the same moment do not
    see each other's yet, so until some are idle there may be one box too many for each further process.
    """

    def __init__(
        self,
        most: int,
        awake: Callable[[], Awaitable[Sequence[UUID]]],
        idle: Callable[[Sequence[UUID]], Awaitable[Sequence[UUID]]],
        stop: Callable[[UUID], Awaitable[None]],
    ) -> None:
        self._most = most
        self._awake = awake
        self._idle = idle
        self._stop = stop
        self._starting: set[UUID] = set()

    @asynccontextmanager
    async def taken(self, job_id: UUID, *, make_room: bool = True) -> AsyncIterator[None]:
        """A context in which this job's box may be started. If all places are in use, an idle box is stopped,
        if we may `make_room`. A box that is awake keeps its own place. Raises NoPlace."""
        while True:
            awake = await self._awake()
            if job_id in awake or len({*awake, *self._starting} - {job_id}) < self._most:
                break
            if not make_room:
                raise NoPlace(f"All {self._most} containers that may be awake are.")
            await self._make_room(awake)
        self._starting.add(job_id)
        try:
            yield
        finally:
            self._starting.discard(job_id)

    async def _make_room(self, awake: Sequence[UUID]) -> None:
        for job_id in await self._idle(awake):
            with contextlib.suppress(WorkspaceBusy):
                await self._stop(job_id)
                return
        raise NoPlace(f"All {self._most} containers that may be awake are at work.")
