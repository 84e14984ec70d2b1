"""The order of locks, on which it rests that nobody waits in a circle: the job's row, then the run's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from app.store.tables import Job, Run
from tests.house import House


async def test_a_worker_locks_the_job_and_then_the_run(house: House) -> None:
    job_id = await house.create()
    async with house.resources.unit() as unit:
        run = (await unit.session.scalars(select(Run).where(Run.job_id == job_id))).one()
        run.fence = 1
    async with held(house, Job, job_id), waiting_worker(house, run.id):
        await lock(house, Run, run.id)
    async with held(house, Run, run.id), waiting_worker(house, run.id):
        with pytest.raises(DBAPIError, match="could not obtain lock"):
            await lock(house, Job, job_id)


@asynccontextmanager
async def held(house: House, table: Any, row_id: UUID) -> AsyncIterator[None]:
    """Somebody else has the row within."""
    async with house.resources.unit() as unit:
        await unit.session.execute(select(table.id).where(table.id == row_id).with_for_update())
        yield


@asynccontextmanager
async def waiting_worker(house: House, run_id: UUID) -> AsyncIterator[None]:
    """A worker that takes its run and has come to a row which another has."""

    async def take() -> None:
        async with house.resources.unit() as unit:
            await unit.take_run(run_id, 1)

    async def waits() -> bool:
        query = text(
            "select count(*) from pg_stat_activity"
            " where wait_event_type = 'Lock' and datname = current_database()"
        )
        async with house.resources.read() as connection:
            return bool(await connection.scalar(query))

    worker = asyncio.create_task(take())
    await house.until(waits)
    try:
        yield
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def lock(house: House, table: Any, row_id: UUID) -> None:
    """Have the row at once, for a moment."""
    async with house.resources.engine.begin() as connection:
        await connection.execute(select(table.id).where(table.id == row_id).with_for_update(nowait=True))
