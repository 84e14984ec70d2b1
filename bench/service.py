"""The whole service, as `boardroom up` runs it, for as long as a measurement takes."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.embedded.datadir import DataDir
from tests.e2e.guide_client import GuideClient


@dataclass(frozen=True)
class Service:
    """`api` and `worker` are the ids of its one process of each kind."""

    url: str
    database_url: str
    redis_url: str
    api: int
    worker: int

    async def person(self) -> GuideClient:
        client = GuideClient(self.url, self.url.replace("http", "ws"))
        await client.enter()
        return client


@asynccontextmanager
async def service(data_dir: Path, **settings: str) -> AsyncIterator[Service]:
    """One API process and one worker, ready. DATABASE_URL and REDIS_URL of this process do not count."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "up"),
        env={**kept, "DATA_DIR": str(data_dir), "PORT": "0", "WORKSPACE_RUNTIME": "local", **settings},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout
    try:
        url = ""
        while not (line := (await process.stdout.readline()).decode()).strip().startswith("Ready"):
            assert line, "it ended"
            if found := re.search(r"Boardroom: (http://\S+)", line):
                url = found[1].rstrip("/")
        running = DataDir(data_dir).running()
        assert running
        api, worker = (_child(process.pid, program) for program in (b"app.main", b"workers.main"))
        yield Service(url, running.database_url, running.redis_url, api, worker)
    finally:
        process.terminate()
        await process.communicate()


def _child(parent: int, program: bytes) -> int:
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            command = (entry.parent / "cmdline").read_bytes().split(b"\0")
            above = int(entry.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if above == parent and program in command:
            return int(entry.parent.name)
    raise AssertionError(f"{program.decode()} does not run")


def cpu_ms(pid: int) -> float:
    """What the process has used so far, all its threads, in user and in system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int) -> float:
    """Resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]
