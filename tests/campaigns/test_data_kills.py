"""Workers are killed at random moments of builds and continuations, mostly while an app goes live. Clients go
on making entries in their apps through the previews: no acknowledged entry is lost, exactly one version runs,
and no job says that it is done when it is not."""

import asyncio
import os
import random
import signal
import time
from asyncio.subprocess import Process
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest

from app.runtime.local.runtime import LocalRuntime
from tests.campaigns.processes import Processes, open_processes, until_ended
from tests.helpers.boxes import output_of
from tests.helpers.growing import STORES, one_page_a_run, page
from tests.helpers.guide_client import GuideClient
from tests.helpers.model_server import Exchange, open_server
from tests.helpers.ports import free_port
from tests.helpers.visitor import Visitor
from tests.helpers.waiting import until
from tests.helpers.wire_company import plays

pytestmark = [pytest.mark.campaign, pytest.mark.may_block]

KILLS = int(os.environ.get("KILLS", "200"))
MOST_S = float(os.environ.get("MOST_S", "1200"))
"""A slow machine kills fewer, and says how many."""
WORKERS, SLOTS, CLIENTS = 3, 4, 4
STEPS = (5, 20)
"""So many steps are stored before each fourth kill. The others wait for an app that goes live, which is often
the one that the worker killed before has left."""
WAIT_S = 300.0
INTO_S = 2.0
"""So far into going live a worker is killed, at most."""
RUNS = 6
"""Of one job: its first build and continuations."""
KEY = "sk-campaign"


@dataclass
class Seen:
    """What the clients have seen."""

    runs: int = 0
    entries: int = 0
    waited: int = 0
    addresses: int = 0
    failed: Counter[str] = field(default_factory=Counter)


async def test_two_hundred_kills_with_data(tmp_path: Path) -> None:
    dice, seen, over = random.Random(2), Seen(), asyncio.Event()
    began = time.monotonic()
    async with open_server() as models:
        play = plays(one_page_a_run())

        async def answer(exchange: Exchange) -> None:
            models.asked.clear()  # they would be kept for a test that reads them
            await play(exchange)

        models.scripts[KEY] = [answer]
        settings = {"MODEL": "openai:tiny", "OPENAI_BASE_URL": models.url, "OPENAI_API_KEY": KEY}
        async with open_processes(tmp_path, WORKER_SLOTS=str(SLOTS), **settings) as running:
            api = await running.start_api(free_port())
            workers = [await running.start_worker() for _ in range(WORKERS)]
            runtime = LocalRuntime(tmp_path / "data" / "workspaces")
            clients = [
                asyncio.create_task(_client(running, runtime, api.url, STORES[number % 2], seen, over))
                for number in range(CLIENTS)
            ]
            kills, live = await _kill(running, workers, dice, clients)
            over.set()
            await asyncio.gather(*clients)
            await runtime.close()
    print(
        f"\n{kills} kills, {live} of them while an app went live; {seen.runs} runs, {seen.entries} entries "
        f"acknowledged and all there; told to wait {seen.waited} times, {seen.addresses} addresses; "
        f"failed and tried again: {dict(seen.failed)}; {time.monotonic() - began:.0f} s"
    )


async def _kill(
    running: Processes, workers: list[Process], dice: random.Random, clients: list["asyncio.Task[None]"]
) -> tuple[int, int]:
    """Kill workers; how many, and how many of them while they brought an app to a version."""
    live, end = 0, time.monotonic() + MOST_S
    for number in range(KILLS):
        if time.monotonic() > end:
            return number, live
        for client in clients:
            assert not client.done(), client.exception()
        victim = await until(lambda: _bringer(running, workers), WAIT_S) if number % 4 else None
        if victim is not None:
            await asyncio.sleep(dice.uniform(0, INTO_S))
            live += 1
        else:
            await _until_stored(running, dice.randint(*STEPS))
            victim = dice.choice(workers)
        await running.end(victim, signal.SIGKILL)
        workers[workers.index(victim)] = await running.start_worker()
    return KILLS, live


async def _bringer(running: Processes, workers: list[Process]) -> Process | None:
    """A worker that just brings an app to a version."""
    async with running.database() as database:
        names = await database.fetch(
            "select r.worker from going_live g join runs r on r.id = g.run_id where r.state = 'ready'"
        )
    pids = {row["worker"].rpartition("-")[2] for row in names if row["worker"]}
    return next((worker for worker in workers if str(worker.pid) in pids), None)


async def _until_stored(running: Processes, steps: int) -> None:
    async with running.database() as database:
        goal = steps + await database.fetchval("select count(*) from run_steps")
        while await database.fetchval("select count(*) from run_steps") < goal:
            await asyncio.sleep(0.02)


async def _client(
    running: Processes, runtime: LocalRuntime, url: str, store: str, seen: Seen, over: asyncio.Event
) -> None:
    """Has apps built and continued, one after the other, and uses each of them all the time."""
    person = await running.person(url)
    while not over.is_set():
        made = await person.post("/api/jobs/", 201, {"prompt": f"Pages, and entries in {store}"})
        visitor = Visitor(person.http, made["id"])
        await _until_done(person, visitor, seen)
        await _open(visitor)
        await _is_whole(runtime, visitor, 1)
        for number in range(2, RUNS + 1):
            if over.is_set():
                break
            async with visitor.entering():
                wish = {"requirements": f"One more page, number {number}"}
                await person.post(f"/api/jobs/{visitor.job_id}/continue/", 202, wish)
                await _until_done(person, visitor, seen)
            await _is_whole(runtime, visitor, number)
        seen.entries += len(visitor.acknowledged)
        seen.waited += visitor.waited
        seen.addresses += len(visitor.addresses)
        assert (await person.http.delete(f"/api/jobs/{visitor.job_id}/")).status_code == 204
    await person.http.aclose()


async def _until_done(person: GuideClient, visitor: Visitor, seen: Seen) -> None:
    """A run that failed is tried again, as a client would."""
    while await until_ended(person, UUID(visitor.job_id)) != "build_done":
        job = await person.get(f"/api/jobs/{visitor.job_id}/")
        seen.failed[job["error_message"]] += 1
        await person.post(f"/api/jobs/{visitor.job_id}/retry/", 202)
    seen.runs += 1


async def _open(visitor: Visitor) -> None:
    async def is_open() -> bool:
        return (await visitor.open()).status_code == 200

    await until(is_open)


async def _is_whole(runtime: LocalRuntime, visitor: Visitor, pages: int) -> None:
    """The app shows the pages of all runs, all acknowledged entries and no others, and runs once."""

    async def answers() -> bool:
        answer = await visitor.ask("/")
        if answer.status_code != 200:
            await visitor.open()
        return answer.status_code == 200

    await until(answers)
    for number in range(1, pages + 1):
        path, word = page(number)
        answer = await visitor.ask(path)
        assert (answer.status_code, word in answer.text) == (200, True), f"{visitor.job_id} lacks {path}"
    answer = await visitor.ask("/entries")
    kept = answer.text.split(";")[:-1] if answer.status_code == 200 else []
    assert set(visitor.acknowledged) <= set(kept), f"{visitor.job_id} has lost an acknowledged entry"
    assert len(kept) == len(set(kept)), f"{visitor.job_id} has an entry twice"
    assert all(entry.startswith("entry-") for entry in kept), (
        f"{visitor.job_id} has an entry of the Builder's"
    )
    box = await runtime.attach(UUID(visitor.job_id))
    try:
        assert await output_of(box, "pgrep -fc '^python3 server.py$'") == "1", "one version runs, once"
    finally:
        await box.close()
