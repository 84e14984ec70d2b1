"""Row locks: they are taken in a fixed order (the job's row, then the run's), so there is no deadlock, and no
write is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from app.domain.budget import NO_LIMITS, Use
from app.store import run_steps, spending
from app.store.tables import Job, Run, RunStep
from tests.helpers.house import House
from tests.helpers.waiting import until

Act = Callable[[House, Run], Coroutine[Any, Any, Any]]


async def take(house: House, run: Run) -> None:
    async with house.resources.unit() as unit:
        await unit.take_run(run.id, 1)


async def reserve(house: House, run: Run) -> int | spending.Refused:
    purpose = spending.Purpose(run.job_id, run.id, 1, "a", "CEO")
    async with house.resources.statements() as statements:
        return await spending.reserve(statements, purpose, "m", Use(30, 70, cost_usd=1.0), NO_LIMITS)


async def store(house: House, run: Run, bill: spending.Bill | None = None) -> bool:
    texts = dict.fromkeys(("key", "kind", "agent", "model", "asked", "digest", "payload"), "a")
    async with house.resources.statements() as statements:
        return await run_steps.store(statements, RunStep(run_id=run.id, **texts), 1, bill)


@pytest.mark.parametrize("act", [take, reserve, store])
async def test_a_worker_locks_the_job_and_then_the_run(house: House, act: Act) -> None:
    run = await claimed(house)
    async with held(house, Job, run.job_id), waiting(house, act(house, run)):
        await lock(house, Run, run.id)
    async with held(house, Run, run.id), waiting(house, act(house, run)):
        with pytest.raises(DBAPIError, match="could not obtain lock"):
            await lock(house, Job, run.job_id)


async def test_changes_made_while_a_statement_waits_are_not_lost(house: House) -> None:
    """A reservation and a bill are added to the values that another transaction has just written."""
    run = await claimed(house)
    more = "update jobs set committed_tokens = committed_tokens + 1000, model_calls = model_calls + 10"
    async with holding(house, f"{more} where id = :id", run.job_id) as done:
        reserving = await waiting_in(house, reserve(house, run))
        await done()
    attempt = await reserving
    assert isinstance(attempt, int)
    async with holding(house, f"{more} where id = :id", run.job_id) as done:
        bill = spending.Bill(attempt, Use(10, 20, cost_usd=0.5), 5)
        storing = await waiting_in(house, store(house, run, bill))
        await done()
    assert await storing
    job = await house.job(run.job_id)
    assert (job.committed_tokens, job.committed_usd) == (2030, 0.5)
    assert (job.input_tokens, job.output_tokens, job.cost_usd, job.model_calls) == (10, 20, 0.5, 21)
    async with house.resources.look() as session:
        days = (await session.execute(text("select committed_tokens, committed_usd from user_days"))).all()
    assert [tuple(day) for day in days] == [(30, 0.5)]


async def test_a_step_of_a_lost_run_changes_nothing(house: House) -> None:
    run = await claimed(house)
    attempt = await reserve(house, run)
    assert isinstance(attempt, int)
    async with house.resources.engine.begin() as connection:
        await connection.execute(update(Run).where(Run.id == run.id).values(fence=2))
    assert not await store(house, run, spending.Bill(attempt, Use(10, 20, cost_usd=0.5), 5))
    assert await reserve(house, run) == spending.Refused("lease")
    job = await house.job(run.job_id)
    assert (job.committed_tokens, job.model_calls) == (100, 0)
    [entered] = await house.attempts(run.job_id)
    assert entered.outcome == "open"


async def claimed(house: House) -> Run:
    job_id = await house.create()
    async with house.resources.unit() as unit:
        run = (await unit.session.scalars(select(Run).where(Run.job_id == job_id))).one()
        run.fence = 1
    return run


@asynccontextmanager
async def held(house: House, table: Any, row_id: UUID) -> AsyncIterator[None]:
    """A context in which another transaction has locked the row."""
    async with house.resources.unit() as unit:
        await unit.session.execute(select(table.id).where(table.id == row_id).with_for_update())
        yield


@asynccontextmanager
async def holding(
    house: House, change: str, job_id: UUID
) -> AsyncIterator[Callable[[], Coroutine[Any, Any, None]]]:
    """A context in which another transaction has made this change of the job. The given function commits
    it."""
    async with house.resources.engine.connect() as connection:
        await connection.execute(text(change), {"id": job_id})
        yield connection.commit


async def waiting_in(house: House, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    """Start `work`, and return its task when it waits for a locked row."""

    async def waits() -> bool:
        query = text(
            "select count(*) from pg_stat_activity"
            " where wait_event_type = 'Lock' and datname = current_database()"
        )
        async with house.resources.look() as session:
            return bool(await session.scalar(query))

    task = asyncio.create_task(work)
    await until(waits)
    return task


@asynccontextmanager
async def waiting(house: House, work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """A context in which `work` waits for a row that another transaction has locked."""
    task = await waiting_in(house, work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def lock(house: House, table: Any, row_id: UUID) -> None:
    """Lock the row for a moment, without waiting for it."""
    async with house.resources.engine.begin() as connection:
        await connection.execute(select(table.id).where(table.id == row_id).with_for_update(nowait=True))
