"""The whole service, as `boardroom up` runs it, while it is measured, and the programs beside it."""

import asyncio
import os
import re
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvloop

from app.embedded import stack
from app.embedded.datadir import DataDir
from tests.helpers.guide_client import GuideClient

STARTS_WITHIN_S = 60


@dataclass(frozen=True)
class Service:
    """`api` and `worker` are the ids of its one process of each kind."""

    url: str
    database_url: str
    redis_url: str
    api: int
    worker: int

    async def person(self) -> GuideClient:
        return await person_at(self.url)


async def person_at(url: str) -> GuideClient:
    """Somebody who has just registered and logged in."""
    client = GuideClient(url, url.replace("http", "ws"))
    await client.enter()
    return client


@asynccontextmanager
async def program(
    *arguments: str,
    says: str,
    environment: Mapping[str, str] | None = None,
    stderr: int = DEVNULL,
    tree: Path | None = None,
) -> AsyncIterator[tuple[Process, str]]:
    """`python ARGUMENTS`, and what it prints of itself: the group of `says`. With `tree` it is the Python of
    that checkout, in its folder."""
    process = await asyncio.create_subprocess_exec(
        *(str(tree / ".venv/bin/python") if tree else sys.executable, *arguments),
        cwd=tree,
        env={**os.environ, **(environment or {})},
        stdout=PIPE,
        stderr=stderr,
    )
    assert process.stdout
    try:
        while not (found := re.search(says, line := (await process.stdout.readline()).decode())):
            assert line, "it ended"
        yield process, found[1]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def run_on_parts(main: Callable[[str, str, Path], Coroutine[Any, Any, None]]) -> None:
    """`main` with the addresses of a PostgreSQL and a Valkey of its own, and an empty folder."""
    with tempfile.TemporaryDirectory() as made:
        parts = stack.start(Path(made) / "stack")
        try:
            uvloop.run(main(parts.database_url, parts.redis_url, Path(made)))
        finally:
            parts.stop()


@asynccontextmanager
async def service(data_dir: Path, **settings: str) -> AsyncIterator[Service]:
    """One API process and one worker, ready, on a stack of their own."""
    async with service_of(None, data_dir, **settings) as running:
        yield running


@asynccontextmanager
async def service_of(tree: Path | None, data_dir: Path, **settings: str) -> AsyncIterator[Service]:
    """As `service`; `tree` is another checkout than this."""
    beside = {"DATABASE_URL": "", "REDIS_URL": "", "DATA_DIR": str(data_dir), "PORT": "0"}
    async with program(
        *("-m", "app.cli", "up"),
        says=r"Boardroom: (http://\S+?)/?\s",
        environment={**beside, "WORKSPACE_RUNTIME": "local", **settings},
        tree=tree,
    ) as (process, url):
        assert process.stdout
        while not (line := await process.stdout.readline()).strip().startswith(b"Ready"):
            assert line, "it ended"
        running = DataDir(data_dir).running()
        assert running
        api, worker = (_child(process.pid, module) for module in (b"app.main", b"workers.main"))
        yield Service(url, running.database_url, running.redis_url, api, worker)


@asynccontextmanager
async def another_api(running: Service, *module: str) -> AsyncIterator[tuple[Process, str]]:
    """A further API process on the same stack, ready, and where it answers."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    settings = {
        "DATABASE_URL": running.database_url,
        "REDIS_URL": running.redis_url,
        "SECRET_KEY": "of a bench that lives for a minute",
        "WORKSPACE_RUNTIME": "local",
        "PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *(module or ("app.main",))),
        env={**os.environ, **settings},
        stdout=PIPE,
        stderr=DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(STARTS_WITHIN_S), httpx.AsyncClient() as http:
            while not await _is_ready(http, f"{url}/readyz"):  # noqa: ASYNC110 - it rings no bell
                await asyncio.sleep(0.01)
        yield process, url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def _is_ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).status_code == 200
    except httpx.HTTPError:
        return False


def _child(parent: int, module: bytes) -> int:
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            command = (entry.parent / "cmdline").read_bytes().split(b"\0")
            above = int(entry.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if above == parent and module in command:
            return int(entry.parent.name)
    raise AssertionError(f"{module.decode()} does not run")


def memory_mib(pid: int) -> float:
    """Resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]
