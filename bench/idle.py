"""P16 and P20: how long `boardroom up` takes until all of it works, and the memory of a service that nobody
uses, beside another checkout that has a virtual environment of its own.

    python -m bench.idle ../older-checkout
"""

import asyncio
import os
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from app.embedded.datadir import DataDir
from bench.measure import Cost, Figure, Side, compare, show_figures, show_ratios
from tests.helpers.processes import ROOT, command_line, processes_of

IDLE_S = float(os.environ.get("IDLE_S", "120"))


@asynccontextmanager
async def up(tree: Path, home: Path) -> AsyncIterator[float]:
    """The service of the checkout `tree`; yields the seconds until `/readyz` said 200."""
    unset = ("DATABASE_URL", "REDIS_URL")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        tree / ".venv/bin/boardroom",
        "up",
        cwd=tree,
        env={**env, "DATA_DIR": str(home), "PORT": "0", "WORKSPACE_RUNTIME": "local"},
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            while not await _is_ready(client, home, process.pid):
                assert process.returncode is None, f"{tree} does not start"
                await asyncio.sleep(0.01)
        yield time.perf_counter() - began
    finally:
        process.terminate()
        await process.wait()


async def _is_ready(client: httpx.AsyncClient, home: Path, pid: int) -> bool:
    noted = DataDir(home).last()
    try:
        return noted.pid == pid and (await client.get(f"{noted.url}/readyz")).status_code == 200
    except httpx.HTTPError:
        return False


def pss_mib(home: Path) -> dict[str, float]:
    """The memory of our own processes by their modules. What is shared with others counts in part."""
    found = dict[str, float]()
    for pid in processes_of(home):
        words = command_line(pid).decode().split("\0")
        if "python" not in Path(words[0]).name:
            continue  # PostgreSQL, Valkey, a box
        name = words[words.index("-m") + 1] if "-m" in words else Path(words[1]).name
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        kib = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        found[name] = found.get(name, 0) + kib / 1024
    return found


async def main(other: Path, folder: Path) -> None:
    async def start(tree: Path, home: Path) -> Cost:
        async with up(tree, home) as took:
            return Cost(took * 1000)

    here, there = folder / "here", folder / "there"
    side = Side("start → ready", lambda: start(ROOT, here), 0.7)
    rows = await compare(lambda: start(other, there), side)
    show_ratios("P16: boardroom up until /readyz says 200, warm folder", other.name, rows)

    memory = list[dict[str, float]]()
    for tree, home in ((other, there), (ROOT, here)):
        async with up(tree, home):
            await asyncio.sleep(IDLE_S)
            memory.append(pss_mib(home))
    before, now = (sum(each.values()) for each in memory)
    figures = [
        *(
            Figure(f"{which}: {name}", value, "MiB")
            for which, found in zip((other.name, "now"), memory, strict=True)
            for name, value in found.items()
        ),
        Figure("now / before", now / before, must=0.7),
    ]
    show_figures(f"P20: memory (PSS) of our own processes, idle for {IDLE_S:g} s", figures)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        asyncio.run(main(Path(sys.argv[1]).absolute(), Path(made)))
