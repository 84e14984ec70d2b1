"""P7 and P17: a thousand sockets on a hundred jobs while events come, alone and beside a worker at work.

python -m bench.crowd [SECONDS]     (about four minutes; no key, no network, no engine)
"""

import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from statistics import quantiles
from typing import Any
from uuid import UUID

import uvloop

from app.resources import Resources
from bench.listener import Heard, listening
from bench.measure import Figure, cpu_ms, show_figures
from bench.model_server import model_server, settings_for
from bench.rows import quiet_job, writer
from bench.service import Service, another_api, memory_mib, person_at, service
from tests.helpers.house import open_house

Write = Callable[[UUID], Coroutine[Any, Any, None]]

PEOPLE, JOBS, SOCKETS = 10, 100, 1000
EVENTS_A_SECOND = 200
DELAY_S, JOBS_A_SECOND = 1.0, 3
"""Of the model beside it, and how many of its jobs begin: about twenty are under way at once."""

ARRIVED_WITHIN_S = 30
SEQ = re.compile(rb'"seq":(\d+)')


class Crowd:
    """What each socket heard, by number and in its order, and how long it was on its way."""

    def __init__(self) -> None:
        self.told: dict[tuple[UUID, int], float] = {}
        """When the writing of this event was begun."""
        self.heard: list[list[int]] = []
        self.took_ms: list[float] = []

    def listener(self, job_id: UUID) -> Heard:
        numbers: list[int] = []
        self.heard.append(numbers)

        def heard(text: bytes) -> None:
            found = SEQ.search(text)
            assert found, text
            numbers.append(int(found[1]))
            self.took_ms.append((time.perf_counter() - self.told[job_id, numbers[-1]]) * 1000)

        return heard


async def events(crowd: Crowd, write: Write, jobs: list[UUID], seconds: float) -> int:
    """One by one at a steady pace, whatever has become of those before. How many of each job."""
    count = round(seconds * EVENTS_A_SECOND / len(jobs))
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for place in range(count * len(jobs)):
            await asyncio.sleep(max(0.0, began + place / EVENTS_A_SECOND - time.perf_counter()))
            seq, of = divmod(place, len(jobs))
            crowd.told[jobs[of], seq + 1] = time.perf_counter()
            group.create_task(write(jobs[of]))
    return count


async def work_beside(url: str) -> None:
    """P12's load, as much as leaves the crowd a processor: jobs begin all the time, until it is cancelled."""
    person = await person_at(url)
    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(person.post("/api/jobs/", 201, {"prompt": "Two pages, please."}))
            await asyncio.sleep(1 / JOBS_A_SECOND)


async def jobs_at(url: str, resources: Resources) -> list[tuple[UUID, str]]:
    """And the token of each one's owner."""
    jobs = []
    for _ in range(PEOPLE):
        person = await person_at(url)
        owner = UUID((await person.get("/api/auth/me/"))["id"])
        jobs += [(await quiet_job(resources, owner), person.access) for _ in range(JOBS // PEOPLE)]
        await person.http.aclose()
    return jobs


async def lateness(api: Process) -> dict[str, float]:
    """Of the API's loop, since this was last asked."""
    assert api.stdout
    api.send_signal(signal.SIGUSR1)
    found: dict[str, float] = json.loads(await api.stdout.readline())
    return found


async def crowded(
    running: Service, resources: Resources, write: Write, seconds: float, *, beside: bool
) -> list[Figure]:
    async with another_api(running, "bench.watched_api") as (api, url), AsyncExitStack() as later:
        crowd, jobs, memory = Crowd(), await jobs_at(url, resources), []
        for _ in range(SOCKETS // JOBS):
            for job_id, token in jobs:
                address = f"{url.replace('http', 'ws')}/ws/jobs/{job_id}/"
                await later.enter_async_context(listening(address, crowd.listener(job_id), token))
            memory.append(memory_mib(api.pid))
        if beside:
            work = asyncio.create_task(work_beside(url))
            later.callback(work.cancel)
            await asyncio.sleep(DELAY_S * 10)  # until as many end as begin
            assert not work.done(), work.result()
        await lateness(api)
        spent = -cpu_ms(api.pid)
        told = await events(crowd, write, [job_id for job_id, _ in jobs], seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(ARRIVED_WITHIN_S):
                while len(crowd.took_ms) < told * SOCKETS:  # noqa: ASYNC110 - sockets ring no bell
                    await asyncio.sleep(0.1)
        spent += cpu_ms(api.pid)
        late = await lateness(api)
    in_order = sum(heard == list(range(1, told + 1)) for heard in crowd.heard)
    each = (memory[-1] - memory[0]) * 1024 / (SOCKETS - JOBS)
    return [
        Figure(
            "P7: sockets that heard every event, in order", in_order, f"of {SOCKETS}", SOCKETS, at_least=True
        ),
        Figure("P7: an event on its way, p50", quantiles(crowd.took_ms, n=100)[49], "ms"),
        Figure("P7: p99", quantiles(crowd.took_ms, n=100)[98], "ms", 100),
        Figure("P7: a socket's memory", each, "KiB", 40),
        Figure("CPU of the API's process a delivery", spent / len(crowd.took_ms), "ms"),
        Figure("P17: how late the API's loop was, p99", late["p99"], "ms", 20),
        Figure("P17: at worst", late["worst"], "ms", 100),
    ]


async def main(folder: Path, seconds: float) -> None:
    async with (
        model_server(DELAY_S) as model,
        service(folder / "stack", WORKER_SLOTS="200", **settings_for(model)) as running,
        open_house(running.database_url, running.redis_url, folder / "boxes") as house,
        writer(running.database_url, running.redis_url) as write,
    ):
        title = f"{SOCKETS} sockets on {JOBS} jobs, {EVENTS_A_SECOND} events a second for {seconds:g} s"
        for beside in (False, True):
            figures = await crowded(running, house.resources, write, seconds, beside=beside)
            work = f", and {JOBS_A_SECOND} jobs a second begin in a worker" if beside else ""
            show_figures(f"P7, P17: {title}{work}", figures)


if __name__ == "__main__":
    os.environ.pop("DOCKER_HOST", None)
    with tempfile.TemporaryDirectory() as made:
        uvloop.run(main(Path(made), float(sys.argv[1]) if len(sys.argv) > 1 else 60))
