"""The use of language models. The most that a request can use is reserved before it is sent, and replaced by
its bill afterwards.

`committed_*` of a job and of a user's day is what was used plus what is reserved. So a budget holds with any
number of open requests and when a worker dies. Rows are locked in this order: job, run, the user's day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Double,
    Text,
    Uuid,
    bindparam,
    select,
    text,
)

from app.domain.budget import Limits, Use
from app.store.statements import Statement, Statements
from app.store.tables import ANSWERED, LOST, OPEN, ModelAttempt


@dataclass(frozen=True)
class Purpose:
    """What a request is for: the step of a run, with the worker's fence."""

    job_id: UUID
    run_id: UUID
    fence: int
    step: str
    agent: str
    ticket_id: UUID | None = None


@dataclass(frozen=True)
class Refused:
    """Nothing was reserved. `limit` says why: `lease` (the run belongs to another worker), `price` (there is
    a limit in USD and the price is unknown), `job` or `day` (the limit would be passed)."""

    limit: str


@dataclass(frozen=True)
class Bill:
    """The bill of an answered attempt: see `settle`."""

    attempt: int
    used: Use | None
    latency_ms: int


async def reserve(
    statements: Statements, purpose: Purpose, model: str, worst: Use, limits: Limits
) -> int | Refused:
    """Reserve `worst` for one request and create its row; returns the row's id, or which limit forbids it. An
    earlier request of the job that is still open is charged first: its answer was lost."""
    wanted = {
        "job": purpose.job_id,
        "run": purpose.run_id,
        "fence": purpose.fence,
        "step": purpose.step,
        "agent": purpose.agent,
        "ticket": purpose.ticket_id,
        "model": model,
        "input": worst.input_tokens,
        "output": worst.output_tokens,
        "usd": worst.cost_usd or 0.0,
        "priced": worst.cost_usd is not None,
        "job_tokens": limits.job_tokens,
        "job_usd": limits.job_usd,
        "day_tokens": limits.day_tokens,
        "day_usd": limits.day_usd,
    }
    while True:
        held = await statements.row(_RESERVE, wanted)
        if held is None:
            return Refused("lease")
        if not held["open"]:
            break
        await charge_lost(statements, purpose.job_id)
    if held["attempt"] is not None:
        return int(held["attempt"])
    if not held["priced"]:
        return Refused("price")
    return Refused("day" if held["fits"] else "job")


_RESERVE = Statement(
    text(
        """
    with held as (
        select
            jobs.user_id,
            (timezone('UTC', clock_timestamp()))::date as day,
            exists (
                select from model_attempts where model_attempts.job_id = jobs.id and outcome = 'open'
            ) as open,
            :priced or coalesce(cost_budget_usd, :job_usd, :day_usd) is null as priced,
            committed_tokens + :input + :output
                    <= coalesce(least(token_budget, :job_tokens), 'infinity'::float8)
                and committed_usd + :usd <= coalesce(least(cost_budget_usd, :job_usd), 'infinity') as fits
        from jobs join runs on runs.job_id = jobs.id
        where jobs.id = :job and runs.id = :run and runs.fence = :fence and runs.state = 'ready'
        for no key update of jobs, runs
    ), today as (
        insert into user_days as of_day (user_id, day, committed_tokens, committed_usd)
        select user_id, day, :input + :output, :usd from held
        where not open and priced and fits
            and :input + :output <= coalesce(:day_tokens, 'infinity'::float8)
            and :usd <= coalesce(:day_usd, 'infinity')
        on conflict (user_id, day) do update set
            committed_tokens = of_day.committed_tokens + excluded.committed_tokens,
            committed_usd = of_day.committed_usd + excluded.committed_usd
        where of_day.committed_tokens + excluded.committed_tokens <= coalesce(:day_tokens, 'infinity'::float8)
            and of_day.committed_usd + excluded.committed_usd <= coalesce(:day_usd, 'infinity')
        returning day
    ), committed as (
        update jobs set
            committed_tokens = committed_tokens + :input + :output,
            committed_usd = committed_usd + :usd
        from today where jobs.id = :job
    ), entered as (
        insert into model_attempts (
            job_id, run_id, step, agent, ticket_id, model, reserved_input, reserved_output, reserved_usd, day
        )
        select :job, :run, :step, :agent, :ticket, :model, :input, :output, :usd, day from today
        returning id
    )
    select open, priced, fits, (select id from entered) as attempt from held
    """
    ).bindparams(
        *(bindparam(name, type_=Uuid()) for name in ("job", "run", "ticket")),
        *(
            bindparam(name, type_=BigInteger())
            for name in ("fence", "input", "output", "job_tokens", "day_tokens")
        ),
        *(bindparam(name, type_=Double()) for name in ("usd", "job_usd", "day_usd")),
        *(bindparam(name, type_=Text()) for name in ("step", "agent", "model")),
        bindparam("priced", type_=Boolean()),
    )
)
"""One statement, so that no lock is held during a round trip. It locks the job, the run, then the user's day.
A limit that is null does not limit; of a
job's own limit and the service's the lower one holds."""


async def settle(
    statements: Statements, attempt: int, outcome: str, used: Use | None, latency_ms: int | None = None
) -> None:
    """Replace the reservation by what was used. With None the use is unknown, and the reservation is charged.
    An attempt that was settled before stays as it is."""
    await statements.row(_SETTLE, billed(attempt, outcome, used, latency_ms))


def billed(
    attempt: int | None, outcome: str, used: Use | None, latency_ms: int | None
) -> dict[str, int | float | str | None]:
    """The parameters of `BILL`."""
    return {
        "attempt": attempt,
        "outcome": outcome,
        "latency": latency_ms,
        "answers": int(outcome == ANSWERED),
        "input": used.input_tokens if used else None,
        "output": used.output_tokens if used else None,
        "cached": used.cached_tokens if used else None,
        "written": used.cache_write_tokens if used else None,
        "usd": (used.cost_usd or 0.0) if used else None,
    }


BILL = """closed as (
        update model_attempts set
            outcome = :outcome,
            latency_ms = coalesce(:latency, latency_ms),
            input_tokens = coalesce(:input, reserved_input),
            output_tokens = coalesce(:output, reserved_output),
            cached_tokens = coalesce(:cached, cached_tokens),
            cache_write_tokens = coalesce(:written, cache_write_tokens),
            cost_usd = coalesce(:usd, reserved_usd)
        from held where model_attempts.id = :attempt and outcome = 'open'
        returning model_attempts.job_id, day, input_tokens, output_tokens, cost_usd,
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
    ), of_day as (
        update user_days set
            committed_tokens = committed_tokens + more_tokens,
            committed_usd = committed_usd + more_usd
        from billed where user_days.user_id = billed.user_id and user_days.day = billed.day
    )"""
"""Enters the bill of one attempt in its row, its job and its user's day: parts of a statement in which `held`
is the locked row of the job."""

BILL_PARAMETERS: Sequence[BindParameter[Any]] = (
    bindparam("outcome", type_=Text()),
    *(bindparam(name, type_=BigInteger()) for name in ("attempt", "latency", "answers", "input", "output")),
    *(bindparam(name, type_=BigInteger()) for name in ("cached", "written")),
    bindparam("usd", type_=Double()),
)

_SETTLE = Statement(
    text(
        f"""
    with held as (
        select jobs.id from jobs join model_attempts on model_attempts.job_id = jobs.id
        where model_attempts.id = :attempt for no key update of jobs
    ), {BILL}
    select 1
    """  # noqa: S608 - made of constants
    ).bindparams(*BILL_PARAMETERS)
)


async def charge_lost(statements: Statements, job_id: UUID) -> None:
    """Charge open requests in full, when their cost will never be known. A run makes one request at a time,
    so one that is open before the next one, or when the run is cancelled, has lost its worker."""
    for attempt in await statements.rows(_LEFT_OPEN, {"job": job_id, "outcome": OPEN}):
        await settle(statements, attempt["id"], LOST, None)


_LEFT_OPEN = Statement(
    select(ModelAttempt.id).where(
        ModelAttempt.job_id == bindparam("job"), ModelAttempt.outcome == bindparam("outcome")
    )
)
