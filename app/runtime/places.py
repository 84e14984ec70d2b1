"""The places for boxes that are awake: at the limit the one that is idle longest goes to sleep."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from app.runtime.workspace import NoPlace, WorkspaceBusy


class Places:
    """`most` boxes may be awake; `awake` lists them, `idle` those of them that nobody works in, the longest
    idle first; `stop` puts one to sleep, or raises WorkspaceBusy.

    Exact among the boxes that one process starts. Of two processes that start one in the same instant neither
    sees the other's yet, so as many too many may be awake as there are processes, until one is idle.
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
    async def taken(self, job_id: UUID) -> AsyncIterator[None]:
        """A place for this job's box while it is started; nobody else's when it is awake. Raises NoPlace."""
        while True:
            awake = await self._awake()
            if job_id in awake or len({*awake, *self._starting} - {job_id}) < self._most:
                break
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
