"""P1, P2, P13 and P16: what reads, a login and a start cost.

python -m bench.api     (about two minutes; no key, no network, no engine)
"""

import asyncio
import os
import re
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import uvloop
from uuid_utils.compat import uuid7

from app.auth.passwords import hash_password
from bench.measure import Row, table
from bench.model_server import KEY, model_server
from bench.service import Service, cpu_ms, service
from tests.e2e.guide_client import GuideClient

ROUNDS = 5
CONNECTIONS, REQUESTS = 8, 800
"""Fewer requests than a user may send at once: each round has a user of its own."""

MANY = 50
LOGINS, LOGINS_A_SECOND, READ_S, PACE_S = 10, 20, 1.0, 0.02
PASSWORD = "a good password"


@dataclass(frozen=True)
class Server:
    """One under load, and its process."""

    url: str
    pid: int

    async def cpu_a_request(self, asked: bytes) -> float:
        """Milliseconds of the process, while a few connections ask as fast as they are answered."""
        before = cpu_ms(self.pid)
        await asyncio.gather(*(self._ask(asked, REQUESTS // CONNECTIONS) for _ in range(CONNECTIONS)))
        return (cpu_ms(self.pid) - before) / REQUESTS

    async def _ask(self, asked: bytes, times: int) -> None:
        where = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        for _ in range(times):
            writer.write(asked)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert head.startswith(b"HTTP/1.1 200"), head
            assert length is not None, head
            await reader.readexactly(int(length[1]))
        writer.close()


def request(path: str, token: str = "") -> bytes:
    authorized = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorized}\r\n".encode()


@asynccontextmanager
async def bare(database_url: str) -> AsyncIterator[Server]:
    """`bench.bare`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "bench.bare:app", "--port", "0", "--no-access-log"),
        env={**os.environ, "DATABASE_URL": database_url},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr
    try:
        while not (
            found := re.search(r"running on (http://\S+)", (await process.stderr.readline()).decode())
        ):
            assert process.returncode is None
        yield Server(found[1], process.pid)
    finally:
        process.terminate()
        await process.wait()


async def furnish(person: GuideClient, database_url: str) -> tuple[str, str]:
    """Many jobs, of which one has as many tickets and messages. The ids of the owner and of that job."""
    jobs = [await person.post("/api/jobs/", 201, {"prompt": "Two pages, please."}) for _ in range(MANY)]
    job_id = jobs[0]["id"]
    connection = await asyncpg.connect(database_url)
    await connection.executemany(
        "insert into tickets (id, job_id, type, title, acceptance_criteria, checks, requirements, status,"
        ' dependencies, "order")'
        " values ($1, $2, 'task', $3, '[\"It works.\"]', '[]', '[]', 'todo', '[]', $4)",
        [(uuid7(), job_id, f"Ticket {place}", place) for place in range(MANY)],
    )
    await connection.executemany(
        "insert into messages (id, job_id, position, role, sender, content, metadata, created_at)"
        " values ($1, $2, $3, 'system', 'Builder', $4, '{\"stage\": \"building\"}', now())",
        [(uuid7(), job_id, 100 + place, f"What the Builder did, part {place}.") for place in range(MANY)],
    )
    owner = await connection.fetchval("select user_id::text from jobs where id = $1", job_id)
    await connection.close()
    return owner, job_id


async def reads(running: Service) -> None:
    ours = Server(running.url, running.api)
    names = {
        "job": ("P1: a job with its steps and messages", 1 / 0.40),
        "jobs": (f"P2: {MANY} jobs", 1 / 0.35),
        "tickets": (f"P2: {MANY} tickets", 1 / 0.35),
        "messages": (f"P2: {MANY} messages", 1 / 0.35),
    }
    found: dict[str, list[tuple[float, float, float]]] = {what: [] for what in names}
    async with bare(running.database_url) as against:
        for _ in range(ROUNDS):
            for what, samples in found.items():
                person = await running.person()
                owner, job_id = await furnish(person, running.database_url)
                paths = {
                    "job": f"/api/jobs/{job_id}/",
                    "jobs": "/api/jobs/",
                    "tickets": f"/api/tickets/?job_id={job_id}",
                    "messages": f"/api/job-messages/?job_id={job_id}",
                }
                theirs = request(f"/{what}/{owner if what == 'jobs' else job_id}")
                samples.append(
                    (
                        await ours.cpu_a_request(request(paths[what], person.access)),
                        await against.cpu_a_request(theirs),
                        await against.cpu_a_request(theirs),
                    )
                )
                await person.http.aclose()
    rows, controls = [], []
    for what, (name, must) in names.items():
        mine, theirs_, again = zip(*found[what], strict=True)
        rows.append(Row(name, mine, theirs_, must))
        controls.append(f"{statistics.median(again) / statistics.median(theirs_):.2f}")
    print(table("P1, P2: reads, CPU of the API's process a request", "bare", rows))
    print(f"Controls, bare against itself: {', '.join(controls)}.\n")


async def logins(running: Service, person: GuideClient, job_id: str) -> None:
    # One account is refused when ten of its logins are under way; a slow machine may come to that.
    names = [f"{uuid7().hex}@example.org" for _ in range(LOGINS_A_SECOND)]
    accounts = cycle({"email": name, "password": PASSWORD, "name": "Grace"} for name in names)
    async with httpx.AsyncClient(base_url=running.url, timeout=30) as http:

        async def log_in() -> None:
            answer = await http.post("/api/auth/login/", json=next(accounts))
            assert answer.status_code == 200, answer.text

        for _ in names:
            assert (await http.post("/api/auth/register/", json=next(accounts))).status_code == 201
        ours, against = [], []
        for _ in range(ROUNDS):
            before = cpu_ms(running.api)
            for _ in range(LOGINS):
                await log_in()
            ours.append((cpu_ms(running.api) - before) / LOGINS)
            before = time.process_time()
            for _ in range(LOGINS):
                await hash_password(PASSWORD)
            against.append((time.process_time() - before) * 1000 / LOGINS)
        print(table("P13: a login, CPU of the API's process", "argon2", [Row("a login", ours, against, 1.1)]))

        quiet, busy = [], []
        for _ in range(ROUNDS):
            quiet.append(await p99(person, job_id))
            task = asyncio.create_task(_at_pace(log_in))
            busy.append(await p99(person, job_id))
            await task
    row = Row(f"reads' p99 during {LOGINS_A_SECOND} logins a second", busy, quiet, 3.0)
    print(table("P13: reads while others log in", "idle", [row]))


async def _at_pace(log_in: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(round(READ_S * LOGINS_A_SECOND)):
            group.create_task(log_in())
            await asyncio.sleep(1 / LOGINS_A_SECOND)


async def p99(person: GuideClient, job_id: str) -> float:
    """Of reads that come one by one, every `PACE_S`, for `READ_S`: milliseconds."""
    took = []
    for _ in range(round(READ_S / PACE_S)):
        began = time.perf_counter()
        answer = await person.http.get(f"/api/jobs/{job_id}/")
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200
        await asyncio.sleep(max(0.0, PACE_S - took[-1] / 1000))
    return sorted(took)[-1]


async def start(running: Service) -> None:
    """P16: an API process on a stack that runs, until it says that it is ready."""
    ours, against = [], []
    settings = {
        "DATABASE_URL": running.database_url,
        "REDIS_URL": running.redis_url,
        "SECRET_KEY": "of a bench that lives for a minute",
        "WORKSPACE_RUNTIME": "local",
    }
    for port in _free_ports(ROUNDS):
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.main"),
            env={**os.environ, **settings, "PORT": str(port)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(30), httpx.AsyncClient() as http:
            while not await _is_ready(http, f"http://127.0.0.1:{port}/readyz"):  # noqa: ASYNC110 - it rings no bell
                await asyncio.sleep(0.01)
        ours.append((time.perf_counter() - began) * 1000)
        process.terminate()
        await process.wait()
        began = time.perf_counter()
        imports = "import fastapi, sqlalchemy.ext.asyncio, asyncpg"
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", imports)
        await process.wait()
        against.append((time.perf_counter() - began) * 1000)
    row = Row("start → ready", ours, against, 1.5)
    print(table("P16: an API process until /readyz says 200", "importing fastapi, sqlalchemy", [row]))


async def _is_ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).status_code == 200
    except httpx.HTTPError:
        return False


def _free_ports(count: int) -> Sequence[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


async def main(folder: Path) -> None:
    settings = {"MODEL": "openai:tiny", "OPENAI_API_KEY": KEY, "MODEL_FIRST_TOKEN_TIMEOUT": "500"}
    async with (
        model_server(3600) as url,
        service(folder, OPENAI_BASE_URL=url, **settings) as running,
    ):
        person = await running.person()
        await reads(running)
        job = await person.post("/api/jobs/", 201, {"prompt": "Two pages, please."})
        await logins(running, person, job["id"])
        await start(running)
        await person.http.aclose()


if __name__ == "__main__":
    os.environ.pop("DOCKER_HOST", None)
    with tempfile.TemporaryDirectory() as made:
        uvloop.run(main(Path(made)))
