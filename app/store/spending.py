"""What models use: the worst case of every request is reserved before it is sent, and settled after.

A job's and a day's `committed_*` are what was used together with what is reserved, so a budget holds however
many requests are under way and whenever a worker dies. Rows are locked in one order: job, then its run, then
the user's day.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ForeignKey,
    Identity,
    Index,
    and_,
    bindparam,
    cast,
    exists,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger, Date, Double, Text

from app.domain.budget import Limits, Use
from app.domain.stages import RunState
from app.store.base import Base, job_column, now_column
from app.store.tables import Job, Run

OPEN, ANSWERED, LOST = "open", "answered", "lost"


class ModelAttempt(Base):
    """One request to a model, made with its reservation. `outcome` is `open` until it is settled; a `lost`
    one was found open later, because its worker died, and is charged in full. `step` is the run's step."""

    __tablename__ = "model_attempts"
    __table_args__ = (
        Index("ix_model_attempts_job_id", "job_id"),
        Index("ix_model_attempts_open", "job_id", postgresql_where=text("outcome = 'open'")),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    job_id: Mapped[UUID] = job_column()
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    step: Mapped[str]
    agent: Mapped[str]
    ticket_id: Mapped[UUID | None] = mapped_column(ForeignKey("tickets.id", ondelete="SET NULL"))
    model: Mapped[str]
    outcome: Mapped[str] = mapped_column(server_default=OPEN)
    reserved_input: Mapped[int]
    reserved_output: Mapped[int]
    reserved_usd: Mapped[float]
    input_tokens: Mapped[int] = mapped_column(server_default="0")
    output_tokens: Mapped[int] = mapped_column(server_default="0")
    cached_tokens: Mapped[int] = mapped_column(server_default="0")
    cost_usd: Mapped[float] = mapped_column(server_default="0")
    latency_ms: Mapped[int] = mapped_column(server_default="0")
    day: Mapped[date]
    created_at: Mapped[datetime] = now_column()


class UserDay(Base):
    """What all jobs of a user have committed on one day (UTC)."""

    __tablename__ = "user_days"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    committed_tokens: Mapped[int]
    committed_usd: Mapped[float]


@dataclass(frozen=True)
class Purpose:
    """For what a request is made: the run's step, under the worker's fence."""

    job_id: UUID
    run_id: UUID
    fence: int
    step: str
    agent: str
    ticket_id: UUID | None = None


@dataclass(frozen=True)
class Refused:
    """Nothing was reserved. `limit` names what stands in the way: `lease` (the run is not ours any more),
    `price` (there is a limit in USD and nobody knows the price), `job` or `day`."""

    limit: str


async def reserve(
    connection: AsyncConnection, purpose: Purpose, model: str, worst: Use, limits: Limits
) -> int | Refused:
    """Reserve `worst` for one request and make its row, whose id is returned; or say which limit forbids it.
    What an earlier request of the job left open is charged first: its answer was lost. Commit afterwards,
    also after a refusal."""
    held = (await connection.execute(_HOLD, _at(purpose))).one_or_none()
    if held is None:
        return Refused("lease")
    if held.open:
        await _charge_lost(connection, purpose.job_id)
    usd_limits = (limits.job_usd if held.cost_budget_usd is None else held.cost_budget_usd, limits.day_usd)
    if worst.cost_usd is None and any(limit is not None for limit in usd_limits):
        return Refused("price")
    tokens, usd = worst.total, worst.cost_usd or 0.0
    token_limit = limits.job_tokens if held.token_budget is None else held.token_budget
    if not (
        _within(held.committed_tokens + tokens, token_limit)
        and _within(held.committed_usd + usd, usd_limits[0])
    ):
        return Refused("job")
    if not await _commit_to_day(connection, held.user_id, held.day, tokens, usd, limits):
        return Refused("day")
    made = {
        **_at(purpose),
        "step": purpose.step,
        "agent": purpose.agent,
        "ticket": purpose.ticket_id,
        "model": model,
        "input": worst.input_tokens,
        "output": worst.output_tokens,
        "usd": usd,
        "day": held.day,
    }
    return int((await connection.execute(_ENTER, made)).scalar_one())


def _at(purpose: Purpose) -> dict[str, Any]:
    return {"job": purpose.job_id, "run": purpose.run_id, "fence": purpose.fence}


_HOLD = (
    select(
        Job.user_id,
        Job.token_budget,
        Job.cost_budget_usd,
        Job.committed_tokens,
        Job.committed_usd,
        cast(func.timezone("UTC", func.clock_timestamp()), Date).label("day"),
        exists().where(ModelAttempt.job_id == bindparam("job"), ModelAttempt.outcome == OPEN).label("open"),
    )
    .join(Run, Run.job_id == Job.id)
    .where(Job.id == bindparam("job"), Run.id == bindparam("run"))
    .where(Run.fence == bindparam("fence"), Run.state == RunState.READY)
    .with_for_update(key_share=True, of=[Job, Run])
)
"""The job's row, then the run's, while it is ours."""

_ENTER = (
    insert(ModelAttempt)
    .values(
        job_id=bindparam("job"),
        run_id=bindparam("run"),
        step=bindparam("step"),
        agent=bindparam("agent"),
        ticket_id=bindparam("ticket"),
        model=bindparam("model"),
        reserved_input=bindparam("input"),
        reserved_output=bindparam("output"),
        reserved_usd=bindparam("usd"),
        day=bindparam("day"),
    )
    .returning(ModelAttempt.id)
    .add_cte(
        update(Job)
        .where(Job.id == bindparam("job"))
        .values(
            committed_tokens=Job.committed_tokens + bindparam("input") + bindparam("output"),
            committed_usd=Job.committed_usd + bindparam("usd"),
        )
        .cte("committed")
    )
)


async def settle(
    connection: AsyncConnection, job_id: UUID, attempt: int, outcome: str, used: Use | None, latency_ms: int
) -> None:
    """Put what was used in the place of what was reserved; None: nobody said, so the reservation stands. What
    was settled before stays as it is."""
    await connection.execute(select(Job.id).where(Job.id == job_id).with_for_update(key_share=True))
    await settle_held(connection, attempt, outcome, used, latency_ms)


async def settle_held(
    connection: AsyncConnection, attempt: int, outcome: str, used: Use | None, latency_ms: int | None = None
) -> None:
    """`settle` where the job's row is locked already."""
    values = {
        "attempt": attempt,
        "outcome": outcome,
        "latency": latency_ms,
        "answers": int(outcome == ANSWERED),
        "input": used.input_tokens if used else None,
        "output": used.output_tokens if used else None,
        "cached": used.cached_tokens if used else None,
        "usd": (used.cost_usd or 0.0) if used else None,
    }
    await connection.execute(_SETTLE, values)


_SETTLE = text(
    """
    with closed as (
        update model_attempts set
            outcome = :outcome,
            latency_ms = coalesce(:latency, latency_ms),
            input_tokens = coalesce(:input, reserved_input),
            output_tokens = coalesce(:output, reserved_output),
            cached_tokens = coalesce(:cached, cached_tokens),
            cost_usd = coalesce(:usd, reserved_usd)
        where id = :attempt and outcome = 'open'
        returning job_id, day, input_tokens, output_tokens, cost_usd,
            input_tokens + output_tokens - reserved_input - reserved_output as more_tokens,
            cost_usd - reserved_usd as more_usd
    ), billed as (
        update jobs set
            committed_tokens = committed_tokens + more_tokens,
            committed_usd = committed_usd + more_usd,
            input_tokens = jobs.input_tokens + closed.input_tokens,
            output_tokens = jobs.output_tokens + closed.output_tokens,
            cost_usd = jobs.cost_usd + closed.cost_usd,
            model_calls = model_calls + :answers
        from closed where jobs.id = closed.job_id
        returning user_id, day, more_tokens, more_usd
    )
    update user_days set
        committed_tokens = committed_tokens + more_tokens,
        committed_usd = committed_usd + more_usd
    from billed where user_days.user_id = billed.user_id and user_days.day = billed.day
    """
).bindparams(
    bindparam("attempt", type_=BigInteger()),
    bindparam("outcome", type_=Text()),
    *(bindparam(name, type_=BigInteger()) for name in ("latency", "answers", "input", "output", "cached")),
    bindparam("usd", type_=Double()),
)
"""One attempt's bill: in its own row, in its job's, and in its user's day."""


async def _charge_lost(connection: AsyncConnection, job_id: UUID) -> None:
    """A run makes one request at a time: whatever is open now has lost its worker."""
    lost = select(ModelAttempt.id).where(ModelAttempt.job_id == job_id, ModelAttempt.outcome == OPEN)
    for attempt in (await connection.scalars(lost)).all():
        await settle_held(connection, attempt, LOST, None)


async def _commit_to_day(
    connection: AsyncConnection, user_id: UUID, day: date, tokens: int, usd: float, limits: Limits
) -> bool:
    if not (_within(tokens, limits.day_tokens) and _within(usd, limits.day_usd)):
        return False
    values = {
        "user": user_id,
        "day": day,
        "tokens": tokens,
        "usd": usd,
        "most_tokens": limits.day_tokens,
        "most_usd": limits.day_usd,
    }
    return (await connection.execute(_COMMIT_TO_DAY, values)).one_or_none() is not None


_MUCH = literal(2**62)
"""A limit where there is none."""

_TODAY = insert(UserDay).values(
    user_id=bindparam("user"),
    day=bindparam("day"),
    committed_tokens=bindparam("tokens"),
    committed_usd=bindparam("usd"),
)
_WITH_IT = {
    "committed_tokens": UserDay.committed_tokens + _TODAY.excluded.committed_tokens,
    "committed_usd": UserDay.committed_usd + _TODAY.excluded.committed_usd,
}
_COMMIT_TO_DAY = _TODAY.on_conflict_do_update(
    index_elements=["user_id", "day"],
    set_=_WITH_IT,
    where=and_(
        _WITH_IT["committed_tokens"] <= func.coalesce(bindparam("most_tokens", type_=BigInteger()), _MUCH),
        _WITH_IT["committed_usd"] <= func.coalesce(bindparam("most_usd", type_=Double()), _MUCH),
    ),
).returning(UserDay.day)


def _within(committed: float, limit: float | None) -> bool:
    return limit is None or committed <= limit
