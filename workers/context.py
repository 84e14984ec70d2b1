"""What a stage works with: the claimed run, ways to read and write, and whether the client has paused the
job.

While this worker holds a run, nobody else writes the run's facts or steps. So they are read once and cached,
which saves round trips. What the client can change meanwhile (the job, the run's state) is read or locked
again each time.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from app.actions import changes
from app.domain.budget import NO_LIMITS, Limits
from app.domain.copies import COPY_BYTES
from app.domain.stages import RunState, Stage, stage_named
from app.resources import Resources
from app.runtime.workspace import Commit, Workspace
from app.runtime.worlds import CHECKING
from app.store import rows, run_steps
from app.store.spending import Bill
from app.store.tables import App, Job, Run, RunStep
from app.unit import LeaseLost, Unit
from workers.awaited import Awaited
from workers.llm.lineup import Lineup
from workers.profiles.served import Served
from workers.progress import Progress
from workers.turns import Turn, new_turns

T = TypeVar("T")


def _slots() -> "asyncio.PriorityQueue[int]":
    slots: asyncio.PriorityQueue[int] = asyncio.PriorityQueue()
    for slot in CHECKING:
        slots.put_nowait(slot)
    return slots


class Paused(Exception):
    """The client has paused the job: release the run where it is."""


class GaveWay(Exception):
    """Another user's run has waited for the slot: release this run where it is, to go on when it is its
    turn."""


@dataclass(frozen=True)
class Change:
    """An open unit of a worker. The job and the run are locked, and this worker still holds the run."""

    unit: Unit
    job: Job
    run: Run
    context: "Context"

    @property
    def session(self) -> AsyncSession:
        return self.unit.session

    async def store(self, step: RunStep) -> None:
        """Store a step of this run in this unit. A step with the same key is replaced."""
        await run_steps.replace(self.session, step)
        self.context.remember(step)

    async def app(self) -> App:
        """The job's app, or a new one if there is none. Changes to it are stored by this unit."""
        context = self.context
        if context.apps is None:  # read with this unit's connection: waiting for a second one could deadlock
            context.apps = await rows.apps(self.session, context.job_id)
        if not context.apps:
            context.apps = [App(id=uuid7(), job_id=context.job_id, prd_markdown="")]
        self.session.add(context.apps[0])
        return context.apps[0]

    def advance(self, stage: Stage | None = None) -> None:
        """The run has made progress, and continues with `stage` if given. Resets its count of claims without
        progress."""
        self.run.claims = 0
        if stage is not None:
            self.run.stage = stage.name

    @property
    def stage(self) -> Stage:
        return stage_named(self.run.stage)

    def describe(self, sentence: str, stage: Stage | None = None, **metadata: Any) -> None:
        """Tell clients what is going on, as the agent of `stage`, by default the run's."""
        stage = stage or self.stage
        changes.describe(self.unit, self.job, stage.agent, sentence, stage.shown_as, **metadata)


@dataclass
class Context:
    """One claimed run. `ticket_attempts` is the limit for a ticket, `copy_bytes` that of a stored copy of
    the app's data; `pause` is set when the client has paused the job, `gives_way` when its slot is needed
    for another user's run.

    The caches, None before they are read: `keys` of the stored steps, `last` the run, `apps` the job's app
    (an empty list if there is none). `trials` are the boxes in which checks run, by slot, while a stage is
    attached; `slots` those that nobody uses now. `packed` is the commit that was brought there last, with
    its pack; `large` are commits that no trial keeps; `tested` are commits with kept tests that were made
    (see `proof.kept_tests`); `aside` is what is done while the model is awaited."""

    resources: Resources
    models: Lineup
    job_id: UUID
    run_id: UUID
    fence: int
    limits: Limits = NO_LIMITS
    ticket_attempts: int = 6
    copy_bytes: int = COPY_BYTES
    served: Served = field(default_factory=Served)
    turn: Turn = field(default_factory=lambda: Turn(new_turns()))
    pause: asyncio.Event = field(default_factory=asyncio.Event)
    gives_way: bool = field(default=False, init=False)
    progress: Progress = field(default_factory=Progress, init=False)
    keys: set[str] | None = field(default=None, init=False)
    last: Run | None = field(default=None, init=False)
    apps: list[App] | None = field(default=None, init=False)
    trials: dict[int, Workspace] = field(default_factory=dict, init=False)
    slots: "asyncio.PriorityQueue[int]" = field(default_factory=_slots, init=False)
    packed: tuple[str, bytes] = field(default=("", b""), init=False)
    large: set[str] = field(default_factory=set, init=False)
    packing: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    tested: dict[tuple[str, str], Commit] = field(default_factory=dict, init=False)
    awaited: Awaited = field(default_factory=Awaited, init=False)
    aside: "asyncio.Task[None] | None" = field(default=None, init=False)

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """One unit under this worker's fence. Raises LeaseLost if the run belongs to another worker or is
        over."""
        try:
            async with self.resources.unit() as unit:
                job, run = await unit.take_run(self.run_id, self.fence)
                yield Change(unit, job, run, self)
        except BaseException:
            self.last = self.apps = None  # they may have changes that were rolled back
            raise
        self.last = run

    def look(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A short read of several statements on one snapshot."""
        return self.resources.look()

    def glance(self) -> AbstractAsyncContextManager[AsyncSession]:
        """A read of a single statement."""
        return self.resources.glance()

    async def mine(self, session: AsyncSession) -> tuple[Job, Run]:
        """The job and the run as they are now. Raises LeaseLost if they were deleted."""
        found = await rows.job_and_run(session, self.run_id)
        if found is None:
            raise LeaseLost
        return found

    async def run(self) -> Run:
        """The run, cached: its state, fence and lease may be outdated. Raises LeaseLost if it is read and is
        not ours."""
        if self.last is None:
            async with self.glance() as session:
                _, run = await self.mine(session)
            if run.fence != self.fence or run.state != RunState.READY:
                raise LeaseLost
            self.last = run
        return self.last

    async def app(self) -> App | None:
        """The job's app; None before it is specified."""
        if self.apps is None:
            async with self.glance() as session:
                self.apps = await rows.apps(session, self.job_id)
        return self.apps[0] if self.apps else None

    async def step(self, key: str) -> RunStep | None:
        """The stored step of this run with that key."""
        if self.keys is None:
            async with self.glance() as session:
                self.keys = set(await run_steps.keys(session, self.run_id))
        if key not in self.keys:
            return None
        async with self.glance() as session:
            return await run_steps.find(session, self.run_id, key)

    async def store(self, step: RunStep, bill: Bill | None = None) -> None:
        """Store a step of this run, with the bill of its answer, in a statement of its own. This counts as
        progress. Raises LeaseLost if the run is not ours any more."""
        async with self.resources.statements() as statements:
            if not await run_steps.store(statements, step, self.fence, bill):
                raise LeaseLost
        self.remember(step)

    def remember(self, step: RunStep) -> None:
        """Note that the step is stored, or will be when the unit commits."""
        if self.keys is not None:
            self.keys.add(step.key)

    async def drop_aside(self) -> None:
        """Give up what is done while the model is awaited."""
        task, self.aside = self.aside, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def leave_trials(self) -> None:
        """Detach from the trials, if this worker is attached to any."""
        await self.drop_aside()
        self.tested.clear()
        while self.trials:
            _, trial = self.trials.popitem()
            await trial.close()

    def heed_pause(self) -> None:
        """Called between two steps. Raises Paused if the client has paused the job, GaveWay if the run's slot
        is needed."""
        if self.pause.is_set():
            raise Paused
        if self.gives_way:
            raise GaveWay

    async def unless_paused(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work`, but cancel it when the client pauses the job. Raises Paused then."""
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
