"""What is stored about boxes: the name of this service on a shared engine, which box of a job is meant and
how its app is started, apps that are being changed, and copies of jobs' repositories."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import Text, and_, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.job import FINISHED, Status
from app.domain.stages import RunState
from app.domain.workspace import Manifest
from app.store.statements import Statement, Statements
from app.store.tables import FENCES, AppMaking, Bundle, GoingLive, Instance, Job, Run

_NAME_IT = Statement(
    insert(Instance).values(single=True, name=bindparam("fresh", type_=Text)).on_conflict_do_nothing()
)
_NAME = Statement(select(Instance.name))


async def instance_name(statements: Statements) -> str:
    """The name: twelve hex digits, made by the first call."""
    await statements.row(_NAME_IT, {"fresh": uuid4().hex[:12]})
    row = await statements.row(_NAME, {})
    assert row is not None
    return str(row[0])


async def without_job(session: AsyncSession, job_ids: frozenset[UUID]) -> frozenset[UUID]:
    """Which of these ids belong to no job."""
    return job_ids - set(await session.scalars(select(Job.id).where(Job.id.in_(job_ids))))


RELEASE_S = 5.0
"""Seconds in which a worker releases an app after its change was recorded, unless it has died."""


@dataclass(frozen=True)
class Standing:
    """What decides which box of a job a request is about, and whether it may change it. `changing` says that
    the app is just being brought to another commit."""

    status: str
    stopped: bool
    live: str | None
    head: str | None
    manifest: Manifest | None
    changing: bool
    half_made: bool

    @property
    def is_running(self) -> bool:
        """Whether a run is at work, or will be."""
        return self.status not in {*FINISHED, Status.COLLECTING}

    @property
    def shows_bench(self) -> bool:
        """Whether the newest files are those on the bench: its result is not live."""
        return self.head is not None and (self.is_running or self.head != self.live)


async def standing(session: AsyncSession, owner: UUID | None, job_id: UUID) -> Standing | None:
    """None if there is no such job, or it is not that user's."""
    # A change that is recorded is over but for the release, which the guest knows of.
    changing = and_(GoingLive.job_id.is_not(None), GoingLive.recorded_at.is_(None))
    half_made = AppMaking.job_id.is_not(None)
    columns = (Job.status, Job.box_stopped, Job.live, Job.head, Job.manifest, changing, half_made)
    query = (
        select(*columns)
        .outerjoin(GoingLive, GoingLive.job_id == Job.id)
        .outerjoin(AppMaking, AppMaking.job_id == Job.id)
    )
    mine = [] if owner is None else [Job.user_id == owner]
    row = (await session.execute(query.where(Job.id == job_id, *mine))).one_or_none()
    if row is None:
        return None
    status, stopped, live, head, kept, changing, half_made = row
    manifest = None if kept is None else Manifest.model_validate(kept)
    return Standing(status, stopped, live, head, manifest, changing, half_made)


async def is_half_made(session: AsyncSession, job_id: UUID) -> bool:
    """Whether the app's box is being made, or was left half-made."""
    return await session.get(AppMaking, job_id) is not None


async def begin_making(session: AsyncSession, job_id: UUID) -> None:
    """The app's box is not whole from now on."""
    await session.execute(insert(AppMaking).values(job_id=job_id).on_conflict_do_nothing())


async def end_making(session: AsyncSession, job_id: UUID) -> None:
    await session.execute(delete(AppMaking).where(AppMaking.job_id == job_id))


async def at_rest(session: AsyncSession, job_ids: Collection[UUID]) -> dict[UUID, bool]:
    """Those of the jobs that no run works on, each with whether its bench has work that is not live."""
    rows = await session.execute(
        select(Job.id, Job.head.is_not(None)).where(
            Job.id.in_(job_ids), Job.status.in_([status for status in Status if status in FINISHED])
        )
    )
    return {row[0]: row[1] for row in rows}


async def going_live(session: AsyncSession, job_id: UUID) -> GoingLive | None:
    return await session.get(GoingLive, job_id)


async def unsettled(session: AsyncSession) -> Sequence[tuple[GoingLive, Manifest | None]]:
    """Changes of apps that no run goes on with, each with the manifest of the app's commit."""
    now = func.clock_timestamp()
    late = GoingLive.recorded_at < now - timedelta(seconds=RELEASE_S)
    paused = and_(Job.is_paused, func.coalesce(Run.lease_until, now) <= now)
    nobody = or_(GoingLive.run_id.is_(None), Run.state != RunState.READY, paused)
    rows = await session.execute(
        select(GoingLive, Job.manifest)
        .join(Job, Job.id == GoingLive.job_id)
        .outerjoin(Run, Run.id == GoingLive.run_id)
        .where(or_(late, and_(GoingLive.recorded_at.is_(None), nobody)))
        .limit(20)
    )
    return [(going, None if kept is None else Manifest.model_validate(kept)) for going, kept in rows]


async def left_alone(session: AsyncSession, job_id: UUID) -> GoingLive | None:
    """The change of a job's app, with the job locked; None if it is over or somebody has locked the job."""
    free = await session.scalar(
        select(Job.id).where(Job.id == job_id).with_for_update(key_share=True, skip_locked=True)
    )
    return None if free is None else await going_live(session, job_id)


async def next_fence(session: AsyncSession) -> int:
    """A fence that is higher than all before."""
    fence = await session.scalar(select(FENCES.next_value()))
    assert fence is not None
    return int(fence)


_RECORDED = Statement(
    update(GoingLive)
    .where(GoingLive.job_id == bindparam("job"))
    .values(recorded_at=func.coalesce(GoingLive.recorded_at, func.clock_timestamp()))
)


async def recorded(statements: Statements, job_id: UUID) -> None:
    """The app is what it shall be, or again what it was: only its release is left."""
    await statements.row(_RECORDED, {"job": job_id})


_SETTLED = Statement(delete(GoingLive).where(GoingLive.job_id == bindparam("job")))


async def settled(statements: Statements, job_id: UUID) -> None:
    """The app is released: its row has done its work."""
    await statements.row(_SETTLED, {"job": job_id})


async def keep_bundle(session: AsyncSession, job_id: UUID, content: bytes) -> None:
    kept = insert(Bundle).values(job_id=job_id, content=content)
    await session.execute(
        kept.on_conflict_do_update(
            index_elements=[Bundle.job_id],
            set_={"content": kept.excluded.content, "created_at": func.clock_timestamp()},
        )
    )


async def find_bundle(session: AsyncSession, job_id: UUID) -> bytes | None:
    found: bytes | None = await session.scalar(select(Bundle.content).where(Bundle.job_id == job_id))
    return found
