"""The rows of runs, for workers: claim, renew, release. All times are those of the database.

A claim locks only the run's row, a unit the job's row first. So the two cannot wait for each other in a
circle.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.domain.stages import ACTIVE, RunState
from app.store.tables import FENCES, Job, Run


@dataclass(frozen=True)
class Claim:
    """A run that this worker holds for `LEASE_S`, under `fence`."""

    run_id: UUID
    job_id: UUID
    fence: int
    claims: int


def _claimable() -> Any:
    return (
        Run.state == RunState.READY,
        Job.is_paused.is_(False),
        or_(Run.lease_until.is_(None), Run.lease_until < func.clock_timestamp()),
    )


async def claim(
    connection: AsyncConnection,
    worker: str,
    lease_s: float,
    run_id: UUID | None = None,
    *,
    most: int = 1,
    held: Collection[UUID] = (),
) -> Sequence[Claim]:
    """Claim the given run, or the runs that have waited longest, at most `most`. Runs in `held` are left out:
    this worker has them, and their leases only need renewal."""
    candidates = select(Run.id).join(Job, Job.id == Run.job_id).where(*_claimable())
    if held:
        candidates = candidates.where(Run.id.not_in(held))
    if run_id is not None:
        candidates = candidates.where(Run.id == run_id)
    candidates = candidates.order_by(Run.updated_at).limit(most).with_for_update(of=Run, skip_locked=True)
    # A CTE is run once. PostgreSQL may run a subquery several times and would claim too many.
    chosen = candidates.cte("chosen")
    rows = await connection.execute(
        update(Run)
        .where(Run.id == chosen.c.id)
        .values(
            fence=FENCES.next_value(),
            worker=worker,
            lease_until=func.clock_timestamp() + timedelta(seconds=lease_s),
            claims=Run.claims + 1,
            updated_at=func.clock_timestamp(),
        )
        .returning(Run.id, Run.job_id, Run.fence, Run.claims)
    )
    return [Claim(row.id, row.job_id, row.fence, row.claims) for row in rows]


async def renew(
    connection: AsyncConnection, held: Collection[tuple[UUID, int]], lease_s: float
) -> Mapping[UUID, bool]:
    """Renew the leases of (run, fence); returns for each run whether it is paused. Missing runs are lost."""
    rows = await connection.execute(
        update(Run)
        .where(tuple_(Run.id, Run.fence).in_(list(held)), Run.worker != "")
        .where(Run.state == RunState.READY, Job.id == Run.job_id)
        .values(lease_until=func.clock_timestamp() + timedelta(seconds=lease_s))
        .returning(Run.id, Job.is_paused)
    )
    return {row.id: row.is_paused for row in rows}


async def release(
    connection: AsyncConnection, run_id: UUID, fence: int, *, rest_s: float = 0, fruitless: bool = False
) -> None:
    """Release a run, if the fence is still its own. Any worker may claim it after `rest_s`. A `fruitless`
    claim counts as one without progress, even if it has stored a step; any other claim does not count."""
    claims = func.greatest(Run.claims, 1) if fruitless else func.greatest(Run.claims - 1, 0)
    until = func.clock_timestamp() + timedelta(seconds=rest_s) if rest_s else None
    await connection.execute(
        update(Run)
        .where(Run.id == run_id, Run.fence == fence)
        .values(lease_until=until, worker="", claims=claims)
    )


async def active(session: AsyncSession, job_id: UUID) -> Run | None:
    """The active run, locked. The job's row must be locked before."""
    run: Run | None = await session.scalar(
        select(Run).where(Run.job_id == job_id, Run.state.in_(ACTIVE)).with_for_update(key_share=True)
    )
    return run


async def latest(session: AsyncSession, job_id: UUID) -> Run | None:
    """The job's last run, over or not, locked."""
    run: Run | None = await session.scalar(
        select(Run)
        .where(Run.job_id == job_id)
        .order_by(Run.number.desc())
        .limit(1)
        .with_for_update(key_share=True)
    )
    return run
