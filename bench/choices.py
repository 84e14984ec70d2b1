"""What is only there because it is faster, against the service without it. Each has to save a tenth.

python -m bench.choices     (about ten minutes; no key, no network, no engine)
"""

import asyncio
import os
import time
from functools import partial
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

from app.store.migrate import migrate
from bench.measure import Cost, Side, compare, cost, cpu_ms, show_ratios
from bench.pipeline import DELAY_S, FEW, delayed, together
from bench.rows import quiet_job, tell
from bench.service import Service, another_api, person_at, run_on_parts, service
from bench.stream import MISSED, Streams, come_back, fan_out
from tests.helpers.house import House, open_house
from workers.llm.lineup import Lineup

PAYS = 0.9
STARTS = 12


async def started(running: Service, *module: str) -> Cost:
    """Decided by its CPU: it does nothing but import."""
    began = time.perf_counter()
    async with another_api(running, *module) as (process, _):
        return Cost((time.perf_counter() - began) * 1000, cpu_ms(process.pid))


async def the_collector(running: Service) -> None:
    """It is off while the process loads."""
    ours = Side("an API process until it is ready", partial(started, running), PAYS)
    rows = await compare(partial(started, running, "bench.without", "gc"), ours, rounds=STARTS)
    show_ratios("The garbage collector is off while modules are imported", "it is on", rows)


async def writing_at_once(running: Service, house: House) -> None:
    """Events pass ASGI's layers by."""
    resources = house.resources
    async with (
        another_api(running) as (with_it, with_url),
        another_api(running, "bench.without", "write_now") as (without_it, without_url),
    ):
        person = await person_at(with_url)
        owner = UUID((await person.get("/api/auth/me/"))["id"])
        ours = Streams(with_url.replace("http", "ws"), with_it.pid, person.access)
        others = Streams(without_url.replace("http", "ws"), without_it.pid, person.access)
        delivered = partial(fan_out, resources=resources, owner=owner)
        rows = await compare(
            partial(delivered, others), Side("a delivery", partial(delivered, ours), PAYS), rounds=7
        )
        job_id = await quiet_job(resources, owner)
        await tell(resources, job_id, MISSED)
        back = partial(come_back, job_id=job_id, since=0, texts=MISSED + 1)
        what = f"coming back after {MISSED} events"
        rows += await compare(partial(back, others), Side(what, partial(back, ours), PAYS), rounds=7)
        await person.http.aclose()
    show_ratios("Events are written to sockets at once", "through ASGI's layers", rows)


async def turns(house: House) -> None:
    """Runs of a worker use its thread three at a time."""

    async def in_turns(jobs: int) -> Cost:
        return await cost(partial(together, house, Lineup(delayed(DELAY_S)), jobs))

    async def all_at_once(jobs: int) -> Cost:
        with patch("workers.leases.new_turns", lambda: asyncio.Semaphore(10_000)):
            return await in_turns(jobs)

    ours = Side(f"{FEW} jobs", partial(in_turns, FEW), PAYS)
    rows = await compare(partial(all_at_once, FEW), ours)
    show_ratios("Runs take turns, three at a time", "all at once", rows)


async def main(database_url: str, redis_url: str, folder: Path) -> None:
    async with (
        service(folder / "service") as running,
        open_house(running.database_url, running.redis_url, folder / "boxes") as house,
    ):
        await the_collector(running)
        await writing_at_once(running, house)
    await migrate(database_url)
    async with open_house(database_url, redis_url, folder / "boxes") as house:
        await turns(house)


if __name__ == "__main__":
    os.environ.pop("DOCKER_HOST", None)
    run_on_parts(main)
