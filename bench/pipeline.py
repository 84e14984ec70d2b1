"""P10, P11 and P12: what the pipeline adds to a model's own time, and a worker's memory with many jobs.

python -m bench.pipeline     (about four minutes; no key, no network, no engine)
"""

import asyncio
import os
import statistics
import time
from itertools import pairwise
from pathlib import Path

import asyncpg
from sqlalchemy import text

from app.store.database import open_engine
from app.store.migrate import migrate
from bench.measure import Cost, Figure, Row, Side, compare, cost, show_figures, show_ratios
from bench.model_server import KEY, model_server, settings_for
from bench.rows import committing
from bench.service import Service, memory_mib, run_on_parts, service
from tests.helpers.company import DONE, company
from tests.helpers.house import House, open_house
from tests.helpers.waiting import until
from workers.leases import Terms
from workers.llm.endpoint import Endpoint, TimeLimits
from workers.llm.lineup import Lineup
from workers.llm.model import Answer, Hear, ModelUnavailable, Question, Then
from workers.llm.prices import fixed
from workers.llm.provider import open_openai
from workers.llm.scripted import ScriptedModel

ROUNDS = 30
FEW, MANY, MANY_OVER_HTTP, DELAY_S = 20, 200, 100, 1.0
THINKING_STEPS = 6
"""Answers before the tickets: a job that is ended there needs no box."""


class Delayed(ScriptedModel):
    """Each answer takes `delay_s`; `thinking_s` is the sum, by job."""

    delay_s = 0.0

    async def ask(self, question: Question, hear: Hear | None = None) -> Answer:
        await asyncio.sleep(self.delay_s)
        self.asked.clear()
        return await super().ask(question, hear)


def delayed(delay_s: float) -> Delayed:
    enough = ModelUnavailable("enough for a measurement", then=Then.NOTHING)
    model = Delayed(company(intake=lambda _: DONE, ticketing=lambda _: enough))
    model.delay_s = delay_s
    return model


async def first_words(running: Service) -> list[Row]:
    """P10: from the idea being sent to the first reply on the socket, with a model that needs no time; beside
    the time until a worker asks the model, of another job, and one commit."""
    ada = await running.person()
    connection = await asyncpg.connect(running.database_url)

    async def a_job() -> tuple[str, Cost]:
        began = time.perf_counter()
        job = await ada.post("/api/jobs/", 201, {"prompt": "Two pages, please."})
        async with ada.socket(job["id"], "&since=0") as socket:
            await socket.until("stageUpdate", role="agent")
            heard = Cost((time.perf_counter() - began) * 1000)
            await socket.until("jobStatus", status="failed")
        return job["id"], heard

    async def heard() -> Cost:
        return (await a_job())[1]

    async with committing(running.database_url) as commit:

        async def picked_up() -> Cost:
            job_id, _ = await a_job()
            waited = await connection.fetchval(
                "select extract(epoch from min(a.created_at) - j.created_at) * 1000 from model_attempts a"
                " join jobs j on j.id = a.job_id where j.id = $1 group by j.created_at",
                job_id,
            )
            return Cost(float(waited) + (await cost(commit)).wall)

        ours = Side("P10: idea sent → first words on the socket", heard, 3.0)
        rows = await compare(picked_up, ours, rounds=ROUNDS)
    await connection.close()
    await ada.http.aclose()
    return rows


async def steps(house: House, database_url: str) -> list[Row]:
    """P11: what a step costs from one question to the next, beside the model's own time."""
    asked = text("select latency_ms, created_at from model_attempts where job_id = :id order by id")

    async def a_step() -> Cost:
        async with house.worker(delayed(0.05)):
            job = await house.until_finished(await house.create())
        async with house.resources.look() as session:
            made = (await session.execute(asked, {"id": job.id})).all()
        between = [
            (later.created_at - earlier.created_at).total_seconds() * 1000 - earlier.latency_ms
            for earlier, later in pairwise(made)
        ]
        return Cost(statistics.median(between))

    async with committing(database_url) as commit:

        async def ten_times_two() -> None:
            for _ in range(20):
                await commit()

        side = Side("P11: a step beside its model's time", a_step, 3.0)
        return await compare(lambda: cost(ten_times_two, 10), side, rounds=ROUNDS)


async def together(house: House, lineup: Lineup, jobs: int) -> float:
    """P12: the part of the ideal throughput that one worker reaches with so many jobs at once."""
    ids = [await house.create() for _ in range(jobs)]

    async def over() -> bool:
        async with house.resources.look() as session:
            query = text("select count(*) from jobs where id = any(:ids) and status <> 'failed'")
            return not await session.scalar(query, {"ids": ids})

    began = time.perf_counter()
    async with house.worker(lineup, terms=Terms(slots=jobs, lease_s=30, sweep_s=2)):
        await until(over, within_s=300)
    return (THINKING_STEPS + 1) * DELAY_S / (time.perf_counter() - began)


def over_http(url: str) -> Lineup:
    limits = TimeLimits(connect_s=30, first_token_s=60, gap_s=60, call_s=120)
    return Lineup(
        open_openai("tiny", base_url=url, key=KEY, endpoint=Endpoint(limits), price=fixed(0, 0)),
    )


async def memory(running: Service, jobs: int) -> list[Figure]:
    """A real worker with so many jobs that wait for a model."""
    people = [await running.person() for _ in range(4)]
    engine = open_engine(running.database_url)
    before = memory_mib(running.worker)
    for place in range(jobs):
        await people[place % len(people)].post("/api/jobs/", 201, {"prompt": "Two pages, please."})
    waiting = 0
    async with asyncio.timeout(120):
        while waiting < jobs:
            await asyncio.sleep(0.2)
            async with engine.connect() as connection:
                query = text("select count(*) from model_attempts where outcome = 'open'")
                waiting = (await connection.execute(query)).scalar_one()
    after = memory_mib(running.worker)
    await engine.dispose()
    for person in people:
        await person.http.aclose()
    return [
        Figure("a worker before", before, "MiB"),
        Figure(f"with {jobs} jobs that wait for a model", after, "MiB"),
        Figure("each of them", (after - before) * 1024 / jobs, "KiB"),
    ]


async def main(database_url: str, redis_url: str, folder: Path) -> None:
    async with model_server(0) as url, service(folder / "a", **settings_for(url)) as running:
        show_ratios("P10: the first words of a job", "pick-up and a commit", await first_words(running))
    await migrate(database_url)
    async with open_house(database_url, redis_url, folder / "boxes") as house:
        show_ratios("P11: a step beside its model's time", "two commits", await steps(house, database_url))
        shares = []
        for jobs in (FEW, MANY):
            share = await together(house, Lineup(delayed(DELAY_S)), jobs)
            shares.append(Figure(f"{jobs} jobs, in process", share, "of the ideal", 0.9, at_least=True))
        async with model_server(DELAY_S) as url:
            share = await together(house, over_http(url), MANY_OVER_HTTP)
        shares.append(Figure(f"{MANY_OVER_HTTP} jobs, over HTTP", share, "of the ideal", 0.7, at_least=True))
        show_figures(f"P12: many jobs in one worker, a model that takes {DELAY_S:.0f} s", shares)
    async with (
        model_server(3600) as url,
        service(folder / "b", WORKER_SLOTS=str(MANY), **settings_for(url)) as running,
    ):
        show_figures("A worker's memory", await memory(running, MANY))


if __name__ == "__main__":
    os.environ.pop("DOCKER_HOST", None)
    run_on_parts(main)
