"""The inside of the service, without HTTP: real database, Redis, boxes and workers, and a scripted model."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from uuid_utils.compat import uuid7

from app.actions import chat, jobs
from app.domain.job import FINISHED
from app.events.redis import RedisBus, open_redis
from app.queue import ArqBell, open_arq
from app.resources import Resources
from app.runtime.local.runtime import LocalRuntime
from app.store import rows
from app.store.database import open_engine
from app.store.statements import open_statements
from app.store.tables import Job, Ticket, User
from tests.helpers.waiting import until
from workers.leases import Desk, Terms
from workers.llm.lineup import Lineup
from workers.llm.model import Model

TERMS = Terms(slots=4, lease_s=1.0, sweep_s=0.1)


@dataclass
class House:
    """The inside of the service, with one user."""

    resources: Resources
    user_id: UUID
    desks: list[Desk] = field(default_factory=list)

    @asynccontextmanager
    async def worker(
        self, model: Model | Lineup, name: str = "w1", terms: Terms = TERMS
    ) -> AsyncIterator[Desk]:
        models = model if isinstance(model, Lineup) else Lineup(model)
        desk = Desk(self.resources, models, name, terms)
        task = asyncio.create_task(desk.work())
        try:
            yield desk
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await desk.close()

    async def job(self, job_id: UUID) -> Job:
        async with self.resources.look() as session:
            return await session.get_one(Job, job_id)

    async def until_finished(self, job_id: UUID, within_s: float = 40) -> Job:
        async def finished() -> Job | None:
            job = await self.job(job_id)
            return job if job.status in FINISHED else None

        found = await until(finished, within_s)
        assert isinstance(found, Job)
        return found

    async def until_answered(self, job_id: UUID, replies: int) -> None:
        async def answered() -> bool:
            async with self.resources.look() as session:
                said = await rows.chat(session, job_id)
            return sum(message.role == "agent" for message in said) >= replies

        await until(answered, 40)

    async def create(self, idea: str = "Two pages, please.") -> UUID:
        """A new job."""
        made = await jobs.create_job(self.resources, self.user_id, "Ada", idea)
        return UUID(orjson.loads(made)["id"])

    async def begin(self) -> UUID:
        """A job whose requirements are complete, so that its run begins."""
        job_id = await self.create()
        await self.until_answered(job_id, 1)
        assert await chat.say(self.resources, self.user_id, "Ada", job_id, "For everybody.")
        return job_id

    async def attempts(self, job_id: UUID) -> list[Any]:
        """The recorded requests to models of a job, in order."""
        async with self.resources.look() as session:
            query = text("select * from model_attempts where job_id = :id order by id")
            return list((await session.execute(query, {"id": job_id})).all())

    async def events(self, job_id: UUID) -> list[dict[str, Any]]:
        async with self.resources.look() as session:
            found = await session.execute(
                text("select payload from job_events where job_id = :id order by seq"), {"id": job_id}
            )
            return [orjson.loads(payload) for (payload,) in found]


@asynccontextmanager
async def open_house(database_url: str, redis_url: str, boxes: Path) -> AsyncIterator[House]:
    """A house on this database, Redis and folder of boxes. Its boxes are removed afterwards."""
    async with open_statements(database_url) as statements:
        engine = open_engine(database_url)
        bus = RedisBus(open_redis(redis_url))
        bell = ArqBell(open_arq(redis_url))
        runtime = LocalRuntime(boxes, idle_s=30)
        resources = Resources(engine, statements, bus, bell, runtime)
        user_id = uuid7()
        async with resources.unit() as unit:
            unit.session.add(User(id=user_id, email="ada@example.com", name="Ada", password_hash=""))
        yield House(resources, user_id)
        async with resources.look() as session:
            made = await rows.job_ids(session, user_id)
        for job_id in made:
            await runtime.destroy(job_id)
        await runtime.close()
        await bell.close()
        await bus.close()
        await engine.dispose()


async def play(house: House, models: Model | Lineup) -> Job:
    """A new job, once a worker with these models has finished it."""
    async with house.worker(models):
        job_id = await house.create()
        return await house.until_finished(job_id)


async def tickets(house: House, job_id: UUID) -> list[Ticket]:
    async with house.resources.look() as session:
        return list(await rows.tickets(session, job_id))
