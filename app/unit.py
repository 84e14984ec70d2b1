"""One change of the world: lock the job, write, number the events, commit, then tell and ring.

The order of locks is the job's row, then the run's, then the rest; there is no other. Events are numbered in
the last moment before the commit, while the job's row is held, so that their order is the order of commits.
What happens after the commit can neither fail nor be cancelled with the request.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import orjson
from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.domain.errors import NOT_FOUND, NotFound
from app.domain.events import Event
from app.domain.stages import RunState
from app.domain.values import stamp
from app.events.bus import Bus, Numbered
from app.queue import Bell
from app.store import events, jobs
from app.store.database import absence_is_unavailable
from app.store.events import Entry
from app.store.statements import within
from app.store.tables import Job, Message, Run

TICK = timedelta(milliseconds=1)
"""The least distance between two moments of one job: clients sort by them."""


class LeaseLost(Exception):
    """The run belongs to a newer claim, or to nobody: write nothing."""


_TAKE_RUN = (
    select(Job, Run, func.clock_timestamp())
    .join(Run, Run.job_id == Job.id)
    .where(Run.id == bindparam("run"), Run.fence == bindparam("fence"), Run.state == RunState.READY)
    .with_for_update(key_share=True, of=[Job, Run])
)
"""PostgreSQL locks the rows of a result in the order in which they are named: the job's, then the run's."""


@dataclass
class _Told:
    event: Event
    moment: datetime
    message: Message | None


class Unit:
    """Use through `Resources.unit()`. `session` is for the rows; a unit changes at most one job."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.job: Job | None = None
        self._told: list[_Told] = []
        self._numbered: list[Numbered] = []
        self._entries: list[Entry] = []
        self._rings: list[UUID] = []
        self.nudged = False
        self._clock: datetime | None = None

    async def take(self, job_id: UUID | None, owner: UUID | None) -> Job:
        """Lock the job. `owner` is whose it must be; None is for workers, who own none. Raises NotFound."""
        query = select(Job, func.clock_timestamp()).where(Job.id == job_id)
        if owner is not None:
            query = query.where(Job.user_id == owner)
        row = (await self.session.execute(query.with_for_update(key_share=True, of=Job))).one_or_none()
        if row is None:
            raise NotFound(NOT_FOUND)
        job: Job = row[0]
        self.job, self._clock = job, row[1]
        return job

    async def take_run(self, run_id: UUID, fence: int) -> tuple[Job, Run]:
        """Lock a worker's job, then its run by fence. Raises LeaseLost, also when the job is gone."""
        row = (await self.session.execute(_TAKE_RUN, {"run": run_id, "fence": fence})).one_or_none()
        if row is None:
            raise LeaseLost
        self.job, self._clock = row[0], row[2]
        return row[0], row[1]

    def start(self, job: Job) -> None:
        """Begin with a job that this unit makes."""
        self.session.add(job)
        self.job, self._clock = job, job.created_at

    def moment(self) -> datetime:
        """The next moment of this job: now, but at least a tick after the last."""
        job = self._held()
        assert self._clock is not None
        job.last_moment = max(self._clock, job.last_moment + TICK)
        return job.last_moment

    def tell(self, event: Event, moment: datetime, message: Message | None = None) -> None:
        """This change will be told as `event` once it is committed; `message` learns the event's number."""
        self._told.append(_Told(event, moment, message))

    def ring(self, run_id: UUID) -> None:
        """Once committed, some worker should look at this run."""
        self._rings.append(run_id)

    def nudge(self) -> None:
        """Once committed, the job's sockets should look at the log, though no event says so: it is gone, or
        something of theirs ended."""
        self.nudged = True

    async def write(self) -> Sequence[Numbered]:
        """Write what changed so far, and to the log what was told of it; all events that have a number."""
        told, self._told = self._told, []
        for item in told:
            self._number(item)
        entries, self._entries = self._entries, []
        await self.session.flush()
        if entries:
            await events.append(self.session, entries)
        return self._numbered

    async def answer(self) -> bytes:
        """The job as a client reads it when this unit commits: nobody can have changed it in between."""
        job = self._held()
        await self.write()
        body = await jobs.job(await within(self.session), job.user_id, job.id)
        assert body is not None, "the row is locked"
        return body

    def _number(self, told: _Told) -> None:
        job = self._held()
        job.last_seq += 1
        job.updated_at = max(job.updated_at, told.moment)
        body = told.event.payload()
        head = {"kind": body.pop("kind"), "jobId": str(job.id), "seq": job.last_seq}
        payload = orjson.dumps({**head, "timestamp": stamp(told.moment), **body}).decode()
        if told.message is not None:
            told.message.event_seq = job.last_seq
        self._entries.append(Entry(job.id, job.last_seq, told.event.kind, payload, told.moment))
        self._numbered.append(Numbered(job.last_seq, payload))

    @property
    def rings(self) -> tuple[UUID, ...]:
        return tuple(self._rings)

    def _held(self) -> Job:
        assert self.job is not None, "a unit begins with its job's row"
        return self.job


@asynccontextmanager
async def open_unit(engine: AsyncEngine, bus: Bus, bell: Bell) -> AsyncIterator[Unit]:
    """A unit that commits when its block ends without an error, and does nothing otherwise."""
    async with absence_is_unavailable(), AsyncSession(engine, expire_on_commit=False) as session:
        unit = Unit(session)
        yield unit
        numbered = await unit.write()
        await session.commit()
    if numbered or unit.nudged or unit.rings:
        await _after_commit(bus, bell, unit, numbered)


async def _after_commit(bus: Bus, bell: Bell, unit: Unit, numbered: Sequence[Numbered]) -> None:
    """Tell, then ring; on even if the request that asked for it is cancelled."""
    errands = []
    if unit.job is not None and (numbered or unit.nudged):
        errands.append(bus.tell(unit.job.id, numbered))
    errands.extend(bell.ring(run_id) for run_id in unit.rings)
    await asyncio.shield(asyncio.gather(*errands))
