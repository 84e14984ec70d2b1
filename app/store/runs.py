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
    Boolean,
    ColumnElement,
    Interval,
    Text,
    Uuid,
    all_,
    and_,
    any_,
    bindparam,
    case,
    func,
    literal_column,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.stages import ACTIVE, CHATTING, RunState, WaitingFor
from app.store.statements import Statement, Statements
from app.store.tables import FENCES, Job, Run

NO_LIMIT = 1 << 62


@dataclass(frozen=True)
class Claim:
    """A run that this worker holds for `LEASE_S`, under `fence`. `chats`: its stage talks with the client."""

    run_id: UUID
    job_id: UUID
    fence: int
    claims: int
    chats: bool = False


async def claim(
    statements: Statements,
    worker: str,
    lease_s: float,
    run_id: UUID | None = None,
    *,
    most: int = 1,
    held: Collection[UUID] = (),
    chats: bool | None = None,
    each: int = NO_LIMIT,
) -> Sequence[Claim]:
    """Claim the given run, or at most `most`: first of the users who hold fewest, then those that have waited
    longest. Runs in `held` are left out: this worker has them, and their leases only need renewal. `chats`:
    only those whose stage talks with the client, or only the others. `each` is how many of them a user may
    hold."""
    asked = {
        "as": worker,
        "lease": timedelta(seconds=lease_s),
        "most": most,
        "held": list(held),
        "talking": chats is not False,
        "working": chats is not True,
        "each": each,
    }
    if run_id is None:
        rows = await statements.rows(_CLAIM, asked)
    else:
        rows = await statements.rows(_CLAIM_ONE, {**asked, "run": run_id})
    return [Claim(*row) for row in rows]


_READY = Run.state == literal_column(f"'{RunState.READY}'")
"""Not a parameter: PostgreSQL would not know that `ix_runs_ready` holds what it has to find."""

_LEASE = func.clock_timestamp() + bindparam("lease", type_=Interval)


_CHATS = Run.stage.in_(literal_column(f"'{name}'") for name in sorted(CHATTING))
_OF_THIS_KIND = case((_CHATS, bindparam("talking", type_=Boolean)), else_=bindparam("working", type_=Boolean))
_FREE = or_(Run.lease_until.is_(None), Run.lease_until < func.clock_timestamp())
_HELD_NOW = and_(Run.worker != "", Run.lease_until >= func.clock_timestamp())


def _claim(*which: ColumnElement[bool]) -> Statement:
    claimable = and_(
        _READY,
        Job.is_paused.is_(False),
        _FREE,
        _OF_THIS_KIND,
        Run.id != all_(bindparam("held", type_=ARRAY(Uuid))),
        *which,
    )
    holding = (
        select(Job.user_id, func.count().label("runs"))
        .join(Run, Run.job_id == Job.id)
        .where(_READY, _HELD_NOW, _OF_THIS_KIND)
        .group_by(Job.user_id)
        .cte("holding")
    )
    # A user's first waiting run stands behind as many as the user holds, the second behind one more.
    place = func.row_number().over(partition_by=Job.user_id, order_by=Run.updated_at)
    line = (
        select(Run.id, (func.coalesce(holding.c.runs, 0) + place).label("place"))
        .join(Job, Job.id == Run.job_id)
        .outerjoin(holding, holding.c.user_id == Job.user_id)
        .where(claimable)
        .cte("line")
    )
    # What was true of a row when the line was made is asked again of the row that is locked.
    candidates = (
        select(Run.id)
        .join(line, line.c.id == Run.id)
        .where(_READY, _FREE, line.c.place <= bindparam("each", type_=BigInteger))
        .order_by(line.c.place, Run.updated_at)
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
        .returning(Run.id, Run.job_id, Run.fence, Run.claims, _CHATS)
    )


_CLAIM = _claim()
_CLAIM_ONE = _claim(Run.id == bindparam("run"))


async def crowded_out(statements: Statements, held: Collection[UUID]) -> Mapping[UUID, int]:
    """Of the runs `held`, chats apart: those whose owner holds at least two more than a user whose runs wait,
    each with how many more."""
    return {row[0]: row[1] for row in await statements.rows(_CROWDED_OUT, {"held": list(held)})}


def _crowded_out() -> Statement:
    at_work = and_(_READY, not_(_CHATS))
    holding = (
        select(Job.user_id, func.count().filter(_HELD_NOW).label("runs"), func.bool_or(_FREE).label("waits"))
        .join(Run, Run.job_id == Job.id)
        .where(at_work, Job.is_paused.is_(False))
        .group_by(Job.user_id)
        .cte("holding")
    )
    fewest = select(func.min(holding.c.runs)).where(holding.c.waits).scalar_subquery()
    return Statement(
        select(Run.id, holding.c.runs - fewest)
        .join(Job, Job.id == Run.job_id)
        .join(holding, holding.c.user_id == Job.user_id)
        .where(at_work, Run.id == any_(bindparam("held", type_=ARRAY(Uuid))), holding.c.runs > fewest + 1)
    )


_CROWDED_OUT = _crowded_out()


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
