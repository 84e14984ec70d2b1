"""P1, P2, P13 and P16: what reads, a login and a start cost.

python -m bench.api     (about two minutes; no key, no network, no engine)
"""

import asyncio
import os
import re
import sys
import tempfile
from asyncio.subprocess import STDOUT
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import uvloop
from uuid_utils.compat import uuid7

from app.auth.passwords import hash_password
from bench.measure import Cost, Row, Side, compare, cost, show_ratios
from bench.model_server import model_server, settings_for
from bench.service import Service, another_api, program, service
from tests.helpers.guide_client import GuideClient

CONNECTIONS, REQUESTS = 8, 800
"""Fewer requests than a user may send at once: each round has a user of its own."""

MANY = 50
LOGINS, LOGINS_A_SECOND, READ_S, PACE_S = 10, 20, 1.0, 0.02
PASSWORD = "a good password"


def request(path: str, token: str = "") -> bytes:
    authorized = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorized}\r\n".encode()


async def a_request(url: str, pid: int, asked: bytes) -> Cost:
    """Of one, while a few connections ask as fast as they are answered."""
    turns = [_ask(url, asked, REQUESTS // CONNECTIONS) for _ in range(CONNECTIONS)]
    return await cost(lambda: asyncio.gather(*turns), REQUESTS, pid)


async def _ask(url: str, asked: bytes, times: int) -> None:
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    for _ in range(times):
        writer.write(asked)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert head.startswith(b"HTTP/1.1 200"), head
        assert length is not None, head
        await reader.readexactly(int(length[1]))
    writer.close()


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


READS = {
    "job": ("a job with its steps and messages", "/api/jobs/{}/"),
    "jobs": (f"{MANY} jobs", "/api/jobs/"),
    "tickets": (f"{MANY} tickets", "/api/tickets/?job_id={}"),
    "messages": (f"{MANY} messages", "/api/job-messages/?job_id={}"),
}


async def reads(running: Service) -> None:
    serve = ("-m", "uvicorn", "bench.bare:app", "--port", "0", "--no-access-log")
    says = r"running on (http://\S+)"
    rows: list[Row] = []
    stored = {"DATABASE_URL": running.database_url}
    async with program(*serve, says=says, stderr=STDOUT, environment=stored) as (bare, url):
        person = await running.person()
        owner, job_id = await furnish(person, running.database_url)
        await person.http.aclose()
        for what, (name, path) in READS.items():
            asked = request(f"/{what}/{owner if what == 'jobs' else job_id}")
            number, must = ("P1", 1 / 0.40) if what == "job" else ("P2", 1 / 0.35)
            ours = Side(f"{number}: {name}", partial(a_read, running, path), must)
            rows += await compare(partial(a_request, url, bare.pid, asked), ours)
    show_ratios("P1, P2: reads", "bare", rows)


async def a_read(running: Service, path: str) -> Cost:
    """By somebody new, who has asked for nothing yet."""
    person = await running.person()
    _, job_id = await furnish(person, running.database_url)
    found = await a_request(running.url, running.api, request(path.format(job_id), person.access))
    await person.http.aclose()
    return found


async def logins(running: Service, person: GuideClient, job_id: str) -> None:
    # One account is refused when ten of its logins are under way; a slow machine may come to that.
    names = [f"{uuid7().hex}@example.org" for _ in range(LOGINS_A_SECOND)]
    accounts = cycle({"email": name, "password": PASSWORD, "name": "Grace"} for name in names)
    async with httpx.AsyncClient(base_url=running.url, timeout=30) as http:

        async def log_in() -> None:
            answer = await http.post("/api/auth/login/", json=next(accounts))
            assert answer.status_code == 200, answer.text

        async def some_logins() -> None:
            for _ in range(LOGINS):
                await log_in()

        async def reads_beside_logins() -> Cost:
            others = asyncio.create_task(_at_pace(log_in))
            late = await latest_read(person, job_id)
            await others
            return late

        for _ in names:
            assert (await http.post("/api/auth/register/", json=next(accounts))).status_code == 201
        login = Side("a login", lambda: cost(some_logins, LOGINS, running.api), 1.1)
        show_ratios("P13: a login", "argon2", await compare(verify, login))
        beside = Side(f"reads' p99 during {LOGINS_A_SECOND} logins a second", reads_beside_logins, 3.0)
        quiet = partial(latest_read, person, job_id)
        show_ratios("P13: reads while others log in", "idle", await compare(quiet, beside))


async def verify() -> Cost:
    """What the parameters of our passwords cost; this process is the server here."""

    async def hash_some() -> None:
        for _ in range(LOGINS):
            await hash_password(PASSWORD)

    found = await cost(hash_some, LOGINS)
    return replace(found, server=found.client)


async def _at_pace(log_in: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(round(READ_S * LOGINS_A_SECOND)):
            group.create_task(log_in())
            await asyncio.sleep(1 / LOGINS_A_SECOND)


async def latest_read(person: GuideClient, job_id: str) -> Cost:
    """Of reads that come one by one, every `PACE_S`, for `READ_S`."""
    took = []
    for _ in range(round(READ_S / PACE_S)):
        took.append(await cost(lambda: person.get(f"/api/jobs/{job_id}/")))
        await asyncio.sleep(max(0.0, PACE_S - took[-1].wall / 1000))
    return max(took, key=lambda each: each.wall)


async def start(running: Service) -> None:
    """P16: an API process on a stack that runs, until it says that it is ready."""

    async def an_api() -> Cost:
        async with AsyncExitStack() as later:
            return await cost(lambda: later.enter_async_context(another_api(running)))

    async def imports() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "import fastapi, sqlalchemy.ext.asyncio, asyncpg"
        )
        await process.wait()

    rows = await compare(lambda: cost(imports), Side("start → ready", an_api, 1.5))
    show_ratios("P16: an API process until /readyz says 200", "importing fastapi, sqlalchemy", rows)


async def main(folder: Path) -> None:
    async with model_server(3600) as url, service(folder, **settings_for(url)) as running:
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
