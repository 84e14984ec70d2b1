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
    ColumnElement,
    ForeignKey,
    Identity,
    Index,
    cast,
    func,
    literal,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column
from sqlalchemy.types import Date

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
    job = (
        await connection.execute(
            select(Job.user_id, Job.token_budget, Job.cost_budget_usd)
            .where(Job.id == purpose.job_id)
            .with_for_update(key_share=True)
        )
    ).one_or_none()
    ours = select(Run.id).where(
        Run.id == purpose.run_id, Run.fence == purpose.fence, Run.state == RunState.READY
    )
    if job is None or await connection.scalar(ours) is None:
        return Refused("lease")
    await _charge_lost(connection, purpose.job_id)
    usd_limits = (limits.job_usd if job.cost_budget_usd is None else job.cost_budget_usd, limits.day_usd)
    if worst.cost_usd is None and any(limit is not None for limit in usd_limits):
        return Refused("price")
    usd = worst.cost_usd or 0.0
    token_limit = limits.job_tokens if job.token_budget is None else job.token_budget
    today = cast(func.timezone("UTC", func.clock_timestamp()), Date)
    day: date = (await connection.execute(select(today))).scalar_one()
    async with connection.begin_nested() as both:
        if not await _commit_to_job(connection, purpose.job_id, worst.total, usd, token_limit, usd_limits[0]):
            return Refused("job")
        if not await _commit_to_day(connection, job.user_id, day, worst.total, usd, limits):
            await both.rollback()
            return Refused("day")
    made = insert(ModelAttempt).values(
        job_id=purpose.job_id,
        run_id=purpose.run_id,
        step=purpose.step,
        agent=purpose.agent,
        ticket_id=purpose.ticket_id,
        model=model,
        reserved_input=worst.input_tokens,
        reserved_output=worst.output_tokens,
        reserved_usd=usd,
        day=day,
    )
    return (await connection.execute(made.returning(ModelAttempt.id))).scalar_one()


async def settle(
    connection: AsyncConnection, job_id: UUID, attempt: int, outcome: str, used: Use | None, latency_ms: int
) -> None:
    """Put what was used in the place of what was reserved; None: nobody said, so the reservation stands. What
    was settled before stays as it is."""
    await connection.execute(select(Job.id).where(Job.id == job_id).with_for_update(key_share=True))
    values: dict[str, Any] = {"outcome": outcome, "latency_ms": latency_ms}
    if used is None:
        values |= _RESERVED
    else:
        values |= {
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
            "cached_tokens": used.cached_tokens,
            "cost_usd": used.cost_usd or 0.0,
        }
    await _close(connection, job_id, ModelAttempt.id == attempt, values)


_RESERVED = {
    "input_tokens": ModelAttempt.reserved_input,
    "output_tokens": ModelAttempt.reserved_output,
    "cost_usd": ModelAttempt.reserved_usd,
}


async def _charge_lost(connection: AsyncConnection, job_id: UUID) -> None:
    """A run makes one request at a time: whatever is open now has lost its worker."""
    await _close(connection, job_id, ModelAttempt.job_id == job_id, {"outcome": LOST, **_RESERVED})


async def _close(
    connection: AsyncConnection, job_id: UUID, which: ColumnElement[bool], values: dict[str, Any]
) -> None:
    closed = await connection.execute(
        update(ModelAttempt)
        .where(which, ModelAttempt.outcome == OPEN)
        .values(values)
        .returning(
            ModelAttempt.outcome,
            ModelAttempt.input_tokens,
            ModelAttempt.output_tokens,
            ModelAttempt.cost_usd,
            ModelAttempt.reserved_input + ModelAttempt.reserved_output,
            ModelAttempt.reserved_usd,
            ModelAttempt.day,
        )
    )
    for outcome, tokens_in, tokens_out, cost, reserved_tokens, reserved_usd, day in closed.all():
        more_tokens, more_usd = tokens_in + tokens_out - reserved_tokens, cost - reserved_usd
        user_id = await connection.scalar(
            update(Job)
            .where(Job.id == job_id)
            .values(
                committed_tokens=Job.committed_tokens + more_tokens,
                committed_usd=Job.committed_usd + more_usd,
                input_tokens=Job.input_tokens + tokens_in,
                output_tokens=Job.output_tokens + tokens_out,
                cost_usd=Job.cost_usd + cost,
                model_calls=Job.model_calls + int(outcome == ANSWERED),
            )
            .returning(Job.user_id)
        )
        await connection.execute(
            update(UserDay)
            .where(UserDay.user_id == user_id, UserDay.day == day)
            .values(
                committed_tokens=UserDay.committed_tokens + more_tokens,
                committed_usd=UserDay.committed_usd + more_usd,
            )
        )


async def _commit_to_job(
    connection: AsyncConnection,
    job_id: UUID,
    tokens: int,
    usd: float,
    token_limit: int | None,
    usd_limit: float | None,
) -> bool:
    done = await connection.scalar(
        update(Job)
        .where(
            Job.id == job_id,
            _within(Job.committed_tokens, tokens, token_limit),
            _within(Job.committed_usd, usd, usd_limit),
        )
        .values(committed_tokens=Job.committed_tokens + tokens, committed_usd=Job.committed_usd + usd)
        .returning(Job.id)
    )
    return done is not None


async def _commit_to_day(
    connection: AsyncConnection, user_id: UUID, day: date, tokens: int, usd: float, limits: Limits
) -> bool:
    empty = insert(UserDay).values(user_id=user_id, day=day, committed_tokens=0, committed_usd=0.0)
    await connection.execute(empty.on_conflict_do_nothing())
    done = await connection.scalar(
        update(UserDay)
        .where(
            UserDay.user_id == user_id,
            UserDay.day == day,
            _within(UserDay.committed_tokens, tokens, limits.day_tokens),
            _within(UserDay.committed_usd, usd, limits.day_usd),
        )
        .values(committed_tokens=UserDay.committed_tokens + tokens, committed_usd=UserDay.committed_usd + usd)
        .returning(UserDay.day)
    )
    return done is not None


def _within(committed: InstrumentedAttribute[Any], more: float, limit: float | None) -> ColumnElement[bool]:
    return literal(True) if limit is None else committed + more <= limit
