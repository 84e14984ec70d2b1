"""P9: how long until a job that was accepted enters its first stage, against a PING of Redis and against ARQ
as it comes.

python -m bench.pickup     (about two minutes; no key, no network, no engine)
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast
from unittest.mock import patch

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func

from app.domain.job import FailureCode
from app.queue import open_arq
from app.store.migrate import migrate
from bench.measure import Cost, Side, compare, cost, show_ratios
from bench.service import run_on_parts
from tests.helpers.company import DONE, company
from tests.helpers.house import House, open_house
from workers.context import Context
from workers.doorbell import answer_the_door
from workers.llm.scripted import ScriptedModel
from workers.pipeline.outcome import Outcome, StageFailed
from workers.pipeline.plan import PLAN

ROUNDS = 10
PINGS, PICK_UPS = 200, 10
POLL_S = 0.5
"""ARQ's own."""


class Entrance:
    """Where the picked up are seen to come in."""

    def __init__(self) -> None:
        self._entered: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def enter(self) -> None:
        self._entered.set_result(time.perf_counter())

    async def wait(self, send: Callable[[], Awaitable[object]]) -> Cost:
        """From the end of `send` on."""
        self._entered = asyncio.get_running_loop().create_future()
        await send()
        sent = time.perf_counter()
        return Cost((await self._entered - sent) * 1000)


async def middle(act: Callable[[int], Awaitable[Cost]], times: int = PICK_UPS) -> Cost:
    return Cost(statistics.median([(await act(place)).wall for place in range(times)]))


@asynccontextmanager
async def at_work(house: House, redis: ArqRedis, entrance: Entrance) -> AsyncIterator[None]:
    """A worker whose jobs end where their first stage begins."""

    async def intake(context: Context) -> Outcome:
        entrance.enter()
        raise StageFailed(FailureCode.INTERNAL, "Enough for a measurement.")

    with patch.dict(PLAN, {"intake": intake}):
        async with house.worker(ScriptedModel(company(intake=lambda _: DONE))) as desk:
            door = asyncio.create_task(answer_the_door(redis, desk))
            yield
            door.cancel()
            await asyncio.gather(door, return_exceptions=True)


@asynccontextmanager
async def stock(redis: ArqRedis, entrance: Entrance) -> AsyncIterator[None]:
    async def entered(_: object) -> None:
        entrance.enter()

    worker = Worker(
        [func(cast(WorkerCoroutine, entered), name="entered")],
        redis_pool=redis,
        handle_signals=False,
        poll_delay=POLL_S,
    )
    working = asyncio.create_task(worker.main())
    yield
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def main(database_url: str, redis_url: str, folder: Path) -> None:
    await migrate(database_url)
    redis, stock_redis = open_arq(redis_url), await create_pool(RedisSettings.from_dsn(redis_url))
    entrance = Entrance()

    async def ours(_: int) -> Cost:
        return await entrance.wait(house.create)

    async def ping(_: int) -> Cost:
        return await cost(redis.ping)

    async def by_arq(place: int) -> Cost:
        await asyncio.sleep((place + 0.5) * POLL_S / PICK_UPS)  # at every moment between two polls alike
        return await entrance.wait(lambda: stock_redis.enqueue_job("entered"))

    async with (
        open_house(database_url, redis_url, folder / "boxes") as house,
        at_work(house, redis, entrance),
        stock(stock_redis, entrance),
    ):
        for name, bare, must in (
            ("PING", partial(middle, ping, PINGS), 60),
            ("ARQ as it comes", partial(middle, by_arq), 1 / 25),
        ):
            side = Side("job accepted → first stage", partial(middle, ours), must)
            show_ratios("P9: a task is picked up", name, await compare(bare, side, rounds=ROUNDS))
    await redis.aclose()
    await stock_redis.aclose()


if __name__ == "__main__":
    run_on_parts(main)
