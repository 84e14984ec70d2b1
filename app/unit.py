"""A unit: one transaction that changes at most one job. Lock the job, write, number the events, commit; then
send hints to sockets (`tell`) and wake workers (`ring`).

Locks are always taken in this order: the job's row, the run's row, all other rows. Events are numbered just
before the commit, while the job's row is locked, so that their order is the order of the commits. What
happens after the commit cannot fail, and is not cancelled with the request.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Select, bindparam, func, select
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
"""The least time between two timestamps of one job's messages and steps: clients sort by them."""


class LeaseLost(Exception):
    """The run was claimed by another worker, or is over: this worker must write nothing."""


_TAKE_RUN = (
    select(Job, Run, func.clock_timestamp())
    .join(Run, Run.job_id == Job.id)
    .where(Run.id == bindparam("run"), Run.fence == bindparam("fence"), Run.state == RunState.READY)
    .with_for_update(key_share=True, of=[Job, Run])
)
"""PostgreSQL locks the rows in the order in which the tables are named: the job, then the run."""


@dataclass
class _Told:
    event: Event
    moment: datetime
    message: Message | None


class Unit:
    """Use it through `Resources.unit()`. `session` is for reading and writing rows."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.job: Job | None = None
        self._told: list[_Told] = []
        self._numbered: list[Numbered] = []
        self._entries: list[Entry] = []
        self._rings: list[UUID] = []
        self.nudged = False
        self._clock: datetime | None = None

    async def take(self, job_id: UUID | None, owner: UUID) -> Job:
        """Lock the job, which must be `owner`'s. Raises NotFound. Workers use `take_run`."""
        mine = (Job.id == job_id, Job.user_id == owner)
        return await self._take(select(Job, func.clock_timestamp()).where(*mine))

    async def take_any(self, job_id: UUID) -> Job:
        """Lock a job, whosever it is: for what the service does by itself. Raises NotFound."""
        return await self._take(select(Job, func.clock_timestamp()).where(Job.id == job_id))

    async def _take(self, query: Select[Any]) -> Job:
        row = (await self.session.execute(query.with_for_update(key_share=True, of=Job))).one_or_none()
        if row is None:
            raise NotFound(NOT_FOUND)
        job: Job = row[0]
        self.job, self._clock = job, row[1]
        return job

    async def take_run(self, run_id: UUID, fence: int) -> tuple[Job, Run]:
        """Lock the job and the run of a worker. Raises LeaseLost if the fence is not the run's, or the job is
        gone."""
        row = (await self.session.execute(_TAKE_RUN, {"run": run_id, "fence": fence})).one_or_none()
        if row is None:
            raise LeaseLost
        self.job, self._clock = row[0], row[2]
        return row[0], row[1]

    def start(self, job: Job) -> None:
        """Begin with a new job, which this unit creates."""
        self.session.add(job)
        self.job, self._clock = job, job.created_at

    def moment(self) -> datetime:
        """The next timestamp of this job: now, but at least a tick after the last one."""
        job = self._held()
        assert self._clock is not None
        job.last_moment = max(self._clock, job.last_moment + TICK)
        return job.last_moment

    def tell(self, event: Event, moment: datetime, message: Message | None = None) -> None:
        """Add `event` to the job's log; its sockets get it after the commit. `message` is given the event's
        number."""
        self._told.append(_Told(event, moment, message))

    def ring(self, run_id: UUID) -> None:
        """After the commit, tell workers that this run can be claimed."""
        self._rings.append(run_id)

    def nudge(self) -> None:
        """After the commit, have the job's sockets look at the log, although there is no event: the job was
        deleted."""
        self.nudged = True

    async def write(self) -> Sequence[Numbered]:
        """Write the changes so far and their events. Returns all numbered events of this unit."""
        told, self._told = self._told, []
        for item in told:
            self._number(item)
        entries, self._entries = self._entries, []
        await self.session.flush()
        if entries:
            await events.append(self.session, entries)
        return self._numbered

    async def answer(self) -> bytes:
        """The `Job` as JSON, as clients will read it after this unit's commit. The row is locked until
        then."""
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
    """A unit that commits when its block ends, and rolls back when its block raises."""
    async with absence_is_unavailable(), AsyncSession(engine, expire_on_commit=False) as session:
        unit = Unit(session)
        yield unit
        numbered = await unit.write()
        await session.commit()
    if numbered or unit.nudged or unit.rings:
        await _after_commit(bus, bell, unit, numbered)


async def _after_commit(bus: Bus, bell: Bell, unit: Unit, numbered: Sequence[Numbered]) -> None:
    """Send the hints and rings, also if the request has been cancelled."""
    errands = []
    if unit.job is not None and (numbered or unit.nudged):
        errands.append(bus.tell(unit.job.id, numbered))
    errands.extend(bell.ring(run_id) for run_id in unit.rings)
    await asyncio.shield(asyncio.gather(*errands))
