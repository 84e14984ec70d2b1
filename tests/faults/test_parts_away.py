"""Redis or PostgreSQL fails in the middle of a build: the build still ends as it should."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from redis.exceptions import RedisError
from sqlalchemy import text

from app import queue
from app.domain.errors import Unavailable
from app.embedded.datadir import DataDir
from app.embedded.postgres import Postgres
from app.embedded.valkey import Valkey
from app.queue import open_arq
from app.store.migrate import migrate
from app.store.statements import Statement, open_statements
from tests.helpers.company import DONE, HeldModel, company
from tests.helpers.house import House, open_house
from tests.helpers.wire import wire_to
from workers.doorbell import answer_the_door
from workers.llm.scripted import ScriptedModel

WHO = Statement(text("select pg_backend_pid() as pid"))

pytestmark = pytest.mark.may_block


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(DataDir(tmp_path / "valkey"))
    server.start(may_move=True)
    yield server
    server.stop()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(DataDir(tmp_path / "postgres"), durable=True)
    server.start(may_move=True)
    yield server
    server.stop()


async def test_with_redis_gone_in_mid_build_the_build_still_ends(
    database_url: str, valkey: Valkey, tmp_path: Path
) -> None:
    async with open_house(database_url, valkey.url, tmp_path / "boxes") as house:
        job_id, model = await _until_building(house)
        async with house.worker(model) as desk, open_arq(valkey.url) as redis:
            door = asyncio.create_task(answer_the_door(redis, desk))
            await model.came.wait()
            valkey.stop()
            model.go.set()
            job = await house.until_finished(job_id)
            assert not door.done()
            door.cancel()
            await asyncio.gather(door, return_exceptions=True)
        assert (job.status, job.verification) == ("build_done", "verified")
        numbers = [event["seq"] for event in await house.events(job_id)]
        assert numbers == list(range(1, job.last_seq + 1))


async def test_a_lost_ring_costs_one_sweep(database_url: str, valkey: Valkey, tmp_path: Path) -> None:
    valkey.stop()
    model = ScriptedModel(company(intake=lambda _: DONE))
    async with open_house(database_url, valkey.url, tmp_path / "boxes") as house, house.worker(model):
        job_id = await house.create()
        assert (await house.until_finished(job_id)).status == "build_done"


async def test_a_worker_does_not_wait_for_a_redis_that_is_silent(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "ANSWER_TIMEOUT_S", 0.2)
    async with wire_to(redis_url) as (wire, near), open_arq(near) as redis:
        await redis.ping()
        wire.stall()
        with pytest.raises(RedisError):
            async with asyncio.timeout(5):
                await redis.ping()
        wire.heal()
        assert await redis.ping()


async def test_postgres_restarts_in_mid_build(postgres: Postgres, redis_url: str, tmp_path: Path) -> None:
    await migrate(postgres.url)
    async with open_house(postgres.url, redis_url, tmp_path / "boxes") as house:
        job_id, model = await _until_building(house)
        async with house.worker(model):
            await model.came.wait()
            postgres.stop()
            model.go.set()
            postgres.start(may_move=False)
            job = await house.until_finished(job_id)
        assert (job.status, job.verification) == ("build_done", "verified")


async def test_while_postgres_is_away_a_statement_is_unavailable(postgres: Postgres) -> None:
    async with open_statements(postgres.url) as pool:
        async with pool.open() as statements:
            assert await statements.row(WHO, {})
        postgres.stop()
        with pytest.raises(Unavailable):
            async with pool.open() as statements:
                await statements.row(WHO, {})
        postgres.start(may_move=False)
        async with pool.open() as statements:
            assert await statements.row(WHO, {})


async def _until_building(house: House) -> tuple[UUID, HeldModel]:
    job_id = await house.create()
    return job_id, HeldModel("building")
