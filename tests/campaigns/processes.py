"""The service as separate processes that may be killed: PostgreSQL, Valkey, API processes, workers."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from app.embedded.datadir import DataDir
from app.embedded.postgres import Postgres
from app.embedded.valkey import Valkey
from app.runtime.local.runtime import LocalRuntime
from app.store.migrate import migrate
from tests.helpers.guide_client import GuideClient

ROOT = Path(__file__).parents[2]
READY_S = 60.0
IDEA = "A list of the tools that we lend to neighbours, with a name and a date for each"


@dataclass
class Api:
    """One API process on a port that it keeps when it is started again."""

    port: int
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Processes:
    """What runs. `log` is the file that all processes write to."""

    postgres: Postgres
    valkey: Valkey
    log: Path
    env: dict[str, str]
    started: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start_api(self, port: int) -> Api:
        """An API process, once `/readyz` answers at all."""
        api = Api(port, await self._start("app.main", PORT=str(port)))
        await until_served(api.url)
        return api

    async def start_worker(self) -> asyncio.subprocess.Process:
        return await self._start("workers.main")

    async def end(self, process: asyncio.subprocess.Process, number: signal.Signals) -> int:
        """Send it the signal; its exit code."""
        process.send_signal(number)
        async with asyncio.timeout(READY_S):
            return await process.wait()

    async def person(self, url: str) -> GuideClient:
        client = GuideClient(url, url.replace("http", "ws"))
        await client.enter()
        return client

    @asynccontextmanager
    async def database(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        connection = await asyncpg.connect(self.postgres.url)
        try:
            yield connection
        finally:
            await connection.close()

    async def _start(self, module: str, **env: str) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module),
                cwd=ROOT,
                env={**self.env, **env},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.started.append(process)
        return process


@asynccontextmanager
async def open_processes(folder: Path, **settings: str) -> AsyncIterator[Processes]:
    """PostgreSQL (durable, migrated) and Valkey run; what is started here is ended with it."""
    postgres, valkey = (
        Postgres(DataDir(folder / "postgres"), durable=True),
        Valkey(DataDir(folder / "valkey")),
    )
    await asyncio.to_thread(postgres.start, may_move=True)
    await asyncio.to_thread(valkey.start, may_move=True)
    kept = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    env = {
        **kept,
        "DATABASE_URL": postgres.url,
        "REDIS_URL": valkey.url,
        "DATA_DIR": str(folder / "data"),
        "SECRET_KEY": uuid4().hex + uuid4().hex,
        "WORKSPACE_RUNTIME": "local",
        "REHEARSAL_PACE": "0",
        "LEASE_S": "2",
        "SWEEP_S": "0.5",
        **settings,
    }
    running = Processes(postgres, valkey, folder / "log", env)
    try:
        await migrate(postgres.url)
        yield running
    finally:
        for process in running.started:
            if process.returncode is None:
                process.terminate()
        for process in running.started:
            await process.wait()
        await LocalRuntime(folder / "data" / "workspaces").stop_all()
        await asyncio.to_thread(valkey.stop)
        await asyncio.to_thread(postgres.stop)


@asynccontextmanager
async def beside(*works: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Work that goes on for as long as the block takes. Raises what ended one of them before."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until_served(url: str) -> None:
    async with asyncio.timeout(READY_S), httpx.AsyncClient(base_url=url) as http:
        while True:
            try:
                if (await http.get("/readyz")).status_code in (200, 503):
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


async def nothing_is_told_twice(database: "asyncpg.Connection[asyncpg.Record]") -> None:
    """The numbers of each job's events have no gap, and no row of people's interest stands there twice."""
    gaps = await database.fetch(
        "select job_id, count(*), max(seq) from job_events group by job_id having count(*) <> max(seq)"
    )
    assert gaps == []
    for table, columns in (
        ("messages", "job_id, role, sender, content"),
        ("tickets", "job_id, title"),
        ("steps", 'job_id, "order"'),
        ("evidence", "job_id, ticket_id, phase, check_digest, tree, passed"),
        ("run_steps", "run_id, key"),
        ("job_events", "job_id, payload::jsonb - 'seq' - 'timestamp'"),
    ):
        doubled = await database.fetch(
            f"select {columns}, count(*) from {table} group by {columns} having count(*) > 1"
        )
        assert doubled == [], table


async def start_job(person: GuideClient) -> UUID:
    """A job that is built without more questions."""
    job_id = await make_job(person)
    await person.post(f"/api/jobs/{job_id}/start/", 202)
    return job_id


async def make_job(person: GuideClient) -> UUID:
    return UUID((await person.post("/api/jobs/", 201, {"prompt": IDEA}))["id"])


async def until_ended(person: GuideClient, job_id: UUID) -> str:
    """The status in which a job has ended."""
    while (job := await person.get(f"/api/jobs/{job_id}/"))["status"] not in ("build_done", "failed"):
        await asyncio.sleep(0.5)
    return str(job["status"])
