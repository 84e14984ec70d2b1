"""Workers are killed at random moments as they build: no job is lost, nothing is done twice (R1, R2)."""

import asyncio
import random
import signal
import socket
import statistics
import time
from asyncio.subprocess import Process
from collections import Counter
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from tests.campaigns.processes import Processes, beside, nothing_is_told_twice, open_processes, start_job
from tests.helpers.guide_client import GuideClient
from tests.helpers.ports import free_port

pytestmark = [pytest.mark.campaign, pytest.mark.may_block]

JOBS, KILLS = 20, 200
WORKERS, SLOTS, JOBS_AT_ONCE = 3, 4, 4
"""A single worker has slots for all jobs."""
STEPS = (5, 20)
"""So many steps are stored between two kills: a run that is killed again and again without one fails."""
LEASE_S, SWEEP_S, SLACK_S = 2.0, 0.5, 1.0


async def test_two_hundred_kills(tmp_path: Path) -> None:
    dice = random.Random(1)
    settings = {"WORKER_SLOTS": str(SLOTS), "LEASE_S": str(LEASE_S), "SWEEP_S": str(SWEEP_S)}
    async with open_processes(tmp_path, **settings) as running, running.database() as database:
        api = await running.start_api(free_port())
        person = await running.person(api.url)
        workers = [await running.start_worker() for _ in range(WORKERS)]
        taken_over: list[float] = []
        async with beside(_keep_busy(person, database)):
            for _ in range(KILLS):
                await _until_stored(running, dice.randint(*STEPS))
                place, held = await _busy_worker(running, workers, dice)
                await running.end(workers[place], signal.SIGKILL)
                workers[place] = await running.start_worker()
                taken_over += await _takeover(running, held)
        while await database.fetchval(ACTIVE):
            await asyncio.sleep(0.5)
        await nothing_is_told_twice(database)
        ended = await database.fetch("select status, verification, error_message from jobs")
        asked = await database.fetchval(
            "select count(*) from model_attempts group by run_id, step order by 1 desc limit 1"
        )
        await person.http.aclose()
    verified = sum(job["verification"] == "verified" for job in ended)
    failed = Counter(job["error_message"] for job in ended if job["status"] == "failed")
    print(
        f"\n{KILLS} kills, {len(ended)} jobs: {verified} verified, {failed.total()} failed {dict(failed)}; "
        f"{len(taken_over)} runs taken over after {statistics.median(taken_over):.2f} s, "
        f"at most {max(taken_over):.2f} s; a request was made {asked} times at most"
    )
    assert len(ended) >= JOBS
    assert all(job["status"] == "build_done" or job["error_message"] for job in ended)
    assert asked <= 3, "a request is made again only when a worker died with its answer"
    assert max(taken_over) <= LEASE_S + SWEEP_S + SLACK_S


ACTIVE = "select count(*) from runs where state = 'ready'"


async def _keep_busy(person: GuideClient, database: "asyncpg.Connection[asyncpg.Record]") -> None:
    while True:
        for _ in range(JOBS_AT_ONCE - await database.fetchval(ACTIVE)):
            await start_job(person)
        await asyncio.sleep(0.2)


async def _until_stored(running: Processes, steps: int) -> None:
    """Until so many more steps are stored, of any run."""
    async with running.database() as database:
        goal = steps + await database.fetchval("select count(*) from run_steps")
        while await database.fetchval("select count(*) from run_steps") < goal:
            await asyncio.sleep(0.02)


async def _busy_worker(
    running: Processes, workers: list[Process], dice: random.Random
) -> tuple[int, dict[UUID, int]]:
    """One that works on runs, and these with their fences."""
    async with running.database() as database:
        while True:
            place = dice.randrange(WORKERS)
            if held := await _held_by(database, workers[place]):
                return place, held
            await asyncio.sleep(0.02)


async def _held_by(database: "asyncpg.Connection[asyncpg.Record]", worker: Process) -> dict[UUID, int]:
    """The fences of the runs that a worker works on."""
    name = f"{socket.gethostname()}-{worker.pid}"
    rows = await database.fetch("select id, fence from runs where worker = $1 and state = 'ready'", name)
    return {row["id"]: row["fence"] for row in rows}


async def _takeover(running: Processes, held: dict[UUID, int]) -> list[float]:
    """After how many seconds each run was claimed again, or had ended."""
    died, took = time.monotonic(), list[float]()
    async with running.database() as database:
        while held:
            rows = await database.fetch(
                "select id, fence, state from runs where id = any($1::uuid[])", list(held)
            )
            for row in rows:
                if row["fence"] != held[row["id"]] or row["state"] != "ready":
                    took.append(time.monotonic() - died)
                    del held[row["id"]]
            await asyncio.sleep(0.05)
    return took
