"""Plays a job with workers that are killed at every commit, one after the other, until the job is finished.

`python -m tests.faults.mortal_worker DATABASE_URL REDIS_URL BOXES JOB CALLS`. Each worker is a forked process
with the whole pipeline, and kills itself (SIGKILL) at its first commit: one worker just before the commit,
the next just after it. So a worker dies before and after every commit of the run. Every question to the model
is recorded in the file CALLS. Prints the number of deaths.
"""

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import orjson
from sqlalchemy.orm import configure_mappers

from app.domain.job import FINISHED
from app.events.redis import RedisBus, open_redis
from app.queue import ArqBell, open_arq
from app.resources import Resources
from app.runtime.local.runtime import LocalRuntime
from app.store.database import open_engine
from app.store.spending import Bill
from app.store.statements import open_statements
from app.store.tables import Job, RunStep
from tests.helpers.company import mortal_company
from workers.context import Change, Context
from workers.leases import Desk, Terms
from workers.llm.lineup import Lineup
from workers.llm.model import Answer, Hear, Question
from workers.llm.scripted import ScriptedModel

TERMS = Terms(slots=1, lease_s=0.3, sweep_s=0.1)
MOST_DEATHS = 400


class NotingModel(ScriptedModel):
    """Records every question in a file before it answers."""

    calls: Path

    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        digest = hashlib.sha256(orjson.dumps(question)).hexdigest()
        with self.calls.open("a") as file:
            file.write(f"{question.purpose} {digest}\n")
        return await super().ask(question, hear)


def die_at_first_commit(*, before: bool) -> None:
    """Make this process kill itself before or after the first commit of a stage, or the first step that is
    stored in a transaction of its own."""
    original, original_store = Context.change, Context.store

    @asynccontextmanager
    async def change(self: Context) -> AsyncIterator[Change]:
        async with original(self) as made:
            yield made
            if before:
                await made.session.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    async def store(self: Context, step: RunStep, bill: Bill | None = None) -> None:
        if not before:
            await original_store(self, step, bill)
        os.kill(os.getpid(), signal.SIGKILL)

    Context.change = change  # type: ignore[method-assign]
    Context.store = store  # type: ignore[method-assign]


async def work(database_url: str, redis_url: str, boxes: Path, job_id: UUID, calls: Path) -> None:
    engine = open_engine(database_url)
    runtime = LocalRuntime(boxes, idle_s=30)
    bus, bell = RedisBus(open_redis(redis_url)), ArqBell(open_arq(redis_url))
    model = NotingModel(mortal_company())
    model.calls = calls
    async with open_statements(database_url) as statements:
        resources = Resources(engine, statements, bus, bell, runtime)
        desk = Desk(resources, Lineup(model), f"mortal-{os.getpid()}", TERMS)
        task = asyncio.create_task(desk.work())
        while True:
            async with resources.look() as session:
                job = await session.get_one(Job, job_id)
            if job.status in FINISHED:
                break
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await desk.close()


def main() -> int:
    database_url, redis_url, boxes, job, calls = sys.argv[1:]
    configure_mappers()  # once, not in each worker
    for death in range(MOST_DEATHS):
        pid = os.fork()
        if pid == 0:
            die_at_first_commit(before=death % 2 == 0)
            asyncio.run(work(database_url, redis_url, Path(boxes), UUID(job), Path(calls)))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            sys.stdout.write(f"{death}\n")
            return os.waitstatus_to_exitcode(status)
    return 1


if __name__ == "__main__":
    sys.exit(main())
