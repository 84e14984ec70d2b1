"""The rows of runs, for workers: claim, renew, release. All times are those of the database.

A claim locks only the run's row, a unit the job's row first. So the two cannot wait for each other in a
circle.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Interval,
    Text,
    Uuid,
    all_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.stages import ACTIVE, RunState, WaitingFor
from app.store.statements import Statement, Statements
from app.store.tables import FENCES, Job, Run


@dataclass(frozen=True)
class Claim:
    """A run that this worker holds for `LEASE_S`, under `fence`."""

    run_id: UUID
    job_id: UUID
    fence: int
    claims: int


async def claim(
    statements: Statements,
    worker: str,
    lease_s: float,
    run_id: UUID | None = None,
    *,
    most: int = 1,
    held: Collection[UUID] = (),
) -> Sequence[Claim]:
    """Claim the given run, or the runs that have waited longest, at most `most`. Runs in `held` are left out:
    this worker has them, and their leases only need renewal."""
    asked = {"as": worker, "lease": timedelta(seconds=lease_s), "most": most, "held": list(held)}
    if run_id is None:
        rows = await statements.rows(_CLAIM, asked)
    else:
        rows = await statements.rows(_CLAIM_ONE, {**asked, "run": run_id})
    return [Claim(*row) for row in rows]


_READY = Run.state == literal_column(f"'{RunState.READY}'")
"""Not a parameter: PostgreSQL would not know that `ix_runs_ready` holds what it has to find."""

_LEASE = func.clock_timestamp() + bindparam("lease", type_=Interval)


def _claim(*which: ColumnElement[bool]) -> Statement:
    candidates = (
        select(Run.id)
        .join(Job, Job.id == Run.job_id)
        .where(_READY, Job.is_paused.is_(False), *which)
        .where(or_(Run.lease_until.is_(None), Run.lease_until < func.clock_timestamp()))
        .where(Run.id != all_(bindparam("held", type_=ARRAY(Uuid))))
        .order_by(Run.updated_at)
        .limit(bindparam("most", type_=BigInteger))
        .with_for_update(of=Run, skip_locked=True)
    )
    # A CTE is run once. PostgreSQL may run a subquery several times and would claim too many.
    chosen = candidates.cte("chosen")
    return Statement(
        update(Run)
        .where(Run.id == chosen.c.id)
        .values(
            fence=FENCES.next_value(),
            worker=bindparam("as", type_=Text),
            lease_until=_LEASE,
            claims=Run.claims + 1,
            updated_at=func.clock_timestamp(),
        )
        .returning(Run.id, Run.job_id, Run.fence, Run.claims)
    )


_CLAIM = _claim()
_CLAIM_ONE = _claim(Run.id == bindparam("run"))


async def renew(
    statements: Statements, held: Collection[tuple[UUID, int]], lease_s: float
) -> Mapping[UUID, bool]:
    """Renew the leases of (run, fence); returns for each run whether it is paused. Missing runs are lost."""
    runs, fences = [run for run, _ in held], [fence for _, fence in held]
    asked = {"runs": runs, "fences": fences, "lease": timedelta(seconds=lease_s)}
    return {row[0]: row[1] for row in await statements.rows(_RENEW, asked)}


_HELD = (
    func.unnest(bindparam("runs", type_=ARRAY(Uuid)), bindparam("fences", type_=ARRAY(BigInteger)))
    .table_valued("run", "fence")
    .render_derived()
)
_RENEW = Statement(
    update(Run)
    .where(Run.id == _HELD.c.run, Run.fence == _HELD.c.fence, Run.worker != "")
    .where(_READY, Job.id == Run.job_id)
    .values(lease_until=_LEASE)
    .returning(Run.id, Job.is_paused)
)


async def release(
    statements: Statements, run_id: UUID, fence: int, *, rest_s: float = 0, fruitless: bool = False
) -> None:
    """Release a run, if the fence is still its own. Any worker may claim it after `rest_s`. A `fruitless`
    claim counts as one without progress, even if it has stored a step; any other claim does not count."""
    rest = timedelta(seconds=rest_s) if rest_s else None
    await statements.row(
        _RELEASE_FRUITLESS if fruitless else _RELEASE, {"run": run_id, "of": fence, "rest": rest}
    )


def _release(claims: ColumnElement[int]) -> Statement:
    until = func.clock_timestamp() + bindparam("rest", type_=Interval)
    return Statement(
        update(Run)
        .where(Run.id == bindparam("run"), Run.fence == bindparam("of", type_=BigInteger))
        .values(lease_until=until, worker="", claims=claims)
    )


_RELEASE = _release(func.greatest(Run.claims - 1, 0))
_RELEASE_FRUITLESS = _release(func.greatest(Run.claims, 1))


_GETS_ON = Statement(
    update(Run).where(Run.id == bindparam("run"), Run.fence == bindparam("fence")).values(claims=0)
)


async def gets_on(statements: Statements, run_id: UUID, fence: int) -> None:
    """This claim makes progress, although it has nothing new to store."""
    await statements.row(_GETS_ON, {"run": run_id, "fence": fence})


def rest(run: Run, for_s: float) -> None:
    """Like `release`, for a run that is locked in a unit: any worker may claim it after `for_s`."""
    run.worker, run.claims = "", max(run.claims - 1, 0)
    run.lease_until = func.clock_timestamp() + timedelta(seconds=for_s)


def wait_for(job: Job, run: Run, reason: WaitingFor) -> None:
    """What the run, locked in a unit with its job, waits for from now on."""
    run.waiting_for = job.waiting_for = reason


def end(job: Job, run: Run, state: RunState) -> None:
    """The run, locked in a unit with its job, is over: nobody holds it, and it waits for nothing."""
    run.state, run.lease_until = state, None
    wait_for(job, run, WaitingFor.NOTHING)


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
