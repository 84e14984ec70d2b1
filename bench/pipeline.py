"""P10, P11 and P12: what the pipeline adds to a model's own time, and a worker's memory with many jobs.

python -m bench.pipeline     (about four minutes; no key, no network, no engine)
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import asyncpg
import uvloop
from sqlalchemy import text

from app.embedded import stack
from app.store.database import open_engine
from app.store.migrate import migrate
from bench.measure import Row, table, timed
from bench.model_server import KEY, model_server
from bench.service import Service, memory_mib, service
from tests.house import House, open_house
from tests.llm.test_whole_job import DONE
from tests.pipeline.company import company
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

Commit = Callable[[], Awaitable[object]]


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


async def committing(database_url: str) -> tuple[Commit, asyncpg.Connection]:
    """One bare commit of one row."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("create table if not exists bench_commits (at timestamptz)")

    async def commit() -> None:
        async with connection.transaction():
            await connection.execute("insert into bench_commits values (now())")

    await commit()
    return commit, connection


async def first_words(running: Service) -> Row:
    """P10: from the idea being sent to the first reply on the socket, with a model that needs no time."""
    ada = await running.person()
    commit, connection = await committing(running.database_url)
    ours, against = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        job = await ada.post("/api/jobs/", 201, {"prompt": "Two pages, please."})
        async with ada.socket(job["id"], "&since=0") as socket:
            await socket.until("stageUpdate", role="agent")
            ours.append((time.perf_counter() - began) * 1000)
            await socket.until("jobStatus", status="failed")
        picked_up = await connection.fetchval(
            "select extract(epoch from min(a.created_at) - j.created_at) * 1000 from model_attempts a"
            " join jobs j on j.id = a.job_id where j.id = $1 group by j.created_at",
            job["id"],
        )
        against.append(float(picked_up) + await timed(commit))
    await connection.close()
    await ada.http.aclose()
    return Row("P10: idea sent → first words on the socket", ours, against, 3.0)


async def steps(house: House, commit: Commit) -> tuple[Row, float]:
    """P11: what a step costs from one question to the next, beside the model's own time; and the control:
    the same commits against themselves."""
    ours, against, control = [], [], []
    asked = text("select latency_ms, created_at from model_attempts where job_id = :id order by id")
    for _ in range(ROUNDS):
        async with house.worker(delayed(0.05)):
            job = await house.until_finished(await house.create())
        async with house.resources.read() as connection:
            made = (await connection.execute(asked, {"id": job.id})).all()
        between = [
            (later.created_at - earlier.created_at).total_seconds() * 1000 - earlier.latency_ms
            for earlier, later in pairwise(made)
        ]
        ours.append(statistics.median(between))
        for series in (against, control):
            series.append(statistics.mean([await timed(commit) + await timed(commit) for _ in range(10)]))
    row = Row("P11: a step beside its model's time", ours, against, 3.0)
    return row, statistics.median(control) / statistics.median(against)


async def together(house: House, lineup: Lineup, jobs: int) -> float:
    """P12: the part of the ideal throughput that one worker reaches with so many jobs at once."""
    ids = [await house.create() for _ in range(jobs)]

    async def over() -> bool:
        async with house.resources.read() as connection:
            query = text("select count(*) from jobs where id = any(:ids) and status <> 'failed'")
            return not await connection.scalar(query, {"ids": ids})

    began = time.perf_counter()
    async with house.worker(lineup, terms=Terms(slots=jobs, lease_s=30, sweep_s=2)):
        await house.until(over, within_s=300)
    return (THINKING_STEPS + 1) * DELAY_S / (time.perf_counter() - began)


def over_http(url: str) -> Lineup:
    limits = TimeLimits(connect_s=30, first_token_s=60, gap_s=60, call_s=120)
    return Lineup(
        open_openai("tiny", base_url=url, key=KEY, endpoint=Endpoint(limits), price=fixed(0, 0)),
    )


async def memory(running: Service, jobs: int) -> str:
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
    each = (after - before) * 1024 / jobs
    return f"| {jobs} | {before:.0f} MiB | {after:.0f} MiB | {each:.0f} KiB |"


async def main(database_url: str, redis_url: str, folder: Path) -> None:
    async with model_server(0) as url, service(folder / "a", **_settings(url)) as running:
        first = await first_words(running)
    await migrate(database_url)
    async with open_house(database_url, redis_url, folder / "boxes") as house:
        commit, connection = await committing(database_url)
        step, control = await steps(house, commit)
        await connection.close()
        print(table("P10, P11: the pipeline beside its model", "bare", [first, step]))
        verdict = "" if 0.9 <= control <= 1.1 else " More than a tenth apart: P11 is no verdict."
        print(f"Control, bare commits against themselves: {control:.2f}.{verdict}\n")
        print(f"## P12: many jobs in one worker, a model that takes {DELAY_S:.0f} s\n")
        print("| | of the ideal | must be ≥ | holds |\n| --- | --- | --- | --- |")
        for jobs in (FEW, MANY):
            share = await together(house, Lineup(delayed(DELAY_S)), jobs)
            _print_share(f"{jobs} jobs, in process", share, 0.9)
        async with model_server(DELAY_S) as url:
            share = await together(house, over_http(url), MANY_OVER_HTTP)
        _print_share(f"{MANY_OVER_HTTP} jobs, over HTTP", share, 0.7)
    print("\n## A worker's memory\n\n| jobs that wait for a model | before | with them | each |")
    print("| --- | --- | --- | --- |")
    async with (
        model_server(3600) as url,
        service(folder / "b", WORKER_SLOTS=str(MANY), **_settings(url)) as running,
    ):
        print(await memory(running, MANY))


def _settings(url: str) -> dict[str, str]:
    return {
        "MODEL": "openai:tiny",
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": KEY,
        "MODEL_FIRST_TOKEN_TIMEOUT": "500",
    }


def _print_share(what: str, share: float, must: float) -> None:
    print(f"| {what} | {share:.2f} | {must} | {'yes' if share >= must else '**no**'} |", flush=True)


if __name__ == "__main__":
    os.environ.pop("DOCKER_HOST", None)
    with tempfile.TemporaryDirectory() as made:
        parts = stack.start(Path(made) / "stack")
        try:
            uvloop.run(main(parts.database_url, parts.redis_url, Path(made)))
        finally:
            parts.stop()
