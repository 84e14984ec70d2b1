"""What a stage works with: the run it holds, the ways to read and write, and the ear for a pause."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.budget import NO_LIMITS, Limits
from app.domain.stages import Stage
from app.resources import Resources
from app.store import rows
from app.store.tables import Job, Run
from app.unit import LeaseLost, Unit
from workers.llm.lineup import Lineup
from workers.profiles.served import Served

T = TypeVar("T")


class Paused(Exception):
    """The client paused the job: let go of the run where it stands."""


@dataclass(frozen=True)
class Change:
    """An open unit of a worker: the job and the run are locked and the run is still ours."""

    unit: Unit
    job: Job
    run: Run

    @property
    def session(self) -> AsyncSession:
        return self.unit.session

    def advance(self, stage: Stage | None = None) -> None:
        """The run got on, and to `stage` if given: its claims so far came to something."""
        self.run.claims = 0
        if stage is not None:
            self.run.stage = stage


@dataclass
class Context:
    """One claimed run. `ticket_attempts` are the most a ticket gets; `pause` is set by the heartbeat when the
    client paused the job."""

    resources: Resources
    models: Lineup
    job_id: UUID
    run_id: UUID
    fence: int
    limits: Limits = NO_LIMITS
    ticket_attempts: int = 6
    served: Served = field(default_factory=Served)
    pause: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """One change of the world under our fence. Raises LeaseLost when the run is not ours any more."""
        async with self.resources.unit() as unit:
            job, run = await unit.take_run(self.run_id, self.fence)
            yield Change(unit, job, run)

    def look(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A short read of one snapshot."""
        return self.resources.look()

    async def mine(self, session: AsyncSession) -> tuple[Job, Run]:
        """Our job and run as they are now. Raises LeaseLost when they are gone."""
        found = await rows.job_and_run(session, self.run_id)
        if found is None:
            raise LeaseLost
        return found

    def heed_pause(self) -> None:
        """Raises Paused between two steps."""
        if self.pause.is_set():
            raise Paused

    async def unless_paused(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, but end it when the client pauses. Raises Paused."""
        task = asyncio.ensure_future(work)
        paused = asyncio.ensure_future(self.pause.wait())
        try:
            await asyncio.wait({task, paused}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Paused
        finally:
            for future in (task, paused):
                future.cancel()
            await asyncio.gather(task, paused, return_exceptions=True)
