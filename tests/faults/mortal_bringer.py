"""Plays a run with workers that are killed at every step of going live, one after the other.

`python -m tests.faults.mortal_bringer DATABASE_URL REDIS_URL BOXES JOB REFUSED`. The first worker kills
itself (SIGKILL) after its first step of going live, the second after its second, and so on, until one has no
step left to die at. With REFUSED `1` the new version never answers in the app's box. Prints the number of
deaths.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import configure_mappers

from app.domain.job import FINISHED
from app.events.redis import RedisBus, open_redis
from app.queue import ArqBell, open_arq
from app.resources import Resources
from app.runtime.attachment import Attachment
from app.runtime.live_calls import LiveCalls
from app.runtime.local.runtime import LocalRuntime
from app.store import boxes
from app.store.database import open_engine
from app.store.statements import open_statements
from app.store.tables import GoingLive, Job
from tests.helpers.company import growing_company
from tests.helpers.entering import STORE
from tests.helpers.entries import builder
from tests.helpers.waiting import until
from workers.leases import Desk, Terms
from workers.llm.lineup import Lineup
from workers.llm.scripted import ScriptedModel
from workers.pipeline.live import bringing, starting
from workers.pipeline.stages import going_live

TERMS = Terms(slots=1, lease_s=0.3, sweep_s=0.1)
MOST_DEATHS = 60

STEPS = ("learn", "hold", "set_aside", "switch", "put_back", "release", "drop_aside")


class Death:
    """Kills this process after its `last` step of going live."""

    def __init__(self, last: int) -> None:
        self.left, self.armed = last, False

    def after(self, step: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def stepped(*args: Any, **named: Any) -> Any:
            done = await step(*args, **named)
            if self.armed:
                self.left -= 1
                if not self.left:
                    os.kill(os.getpid(), signal.SIGKILL)
            return done

        return stepped

    def plant(self, *, refused: bool) -> None:
        places: list[tuple[Any, tuple[str, ...]]] = [
            (LiveCalls, STEPS),
            (Attachment, ("start_app", "stop_app")),
            (AsyncSession, ("commit",)),
            (boxes, ("settled", "recorded")),
        ]
        for owner, names in places:
            for name in names:
                setattr(owner, name, self.after(getattr(owner, name)))
        real, answers = bringing.bring, starting.answers_twice

        async def bring(*args: Any, **named: Any) -> None:
            self.armed = True
            await real(*args, **named)

        async def answers_not(*args: Any) -> str:
            return await answers(*args) or "It does not answer."

        going_live.bring = bring  # type: ignore[attr-defined]
        if refused:
            setattr(bringing, "answers_twice", answers_not)  # noqa: B010


async def work(database_url: str, redis_url: str, folder: Path, job_id: UUID) -> None:
    async with open_statements(database_url) as statements:
        resources = Resources(
            open_engine(database_url),
            statements,
            RedisBus(open_redis(redis_url)),
            ArqBell(open_arq(redis_url)),
            LocalRuntime(folder, idle_s=30),
        )
        script = {**growing_company(), "building": builder(STORE)}
        desk = Desk(resources, Lineup(ScriptedModel(script)), f"mortal-{os.getpid()}", TERMS)
        task = asyncio.create_task(desk.work())

        async def is_over() -> bool:
            async with resources.look() as session:
                job = await session.get_one(Job, job_id)
                return job.status in FINISHED and await session.get(GoingLive, job_id) is None

        await until(is_over, 120)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await desk.close()


def main() -> int:
    database_url, redis_url, folder, job, refused = sys.argv[1:]
    configure_mappers()  # once, not in each worker
    for death in range(MOST_DEATHS):
        pid = os.fork()
        if pid == 0:
            Death(death + 1).plant(refused=refused == "1")
            asyncio.run(work(database_url, redis_url, Path(folder), UUID(job)))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            sys.stdout.write(f"{death}\n")
            return os.waitstatus_to_exitcode(status)
    return 1


if __name__ == "__main__":
    sys.exit(main())
