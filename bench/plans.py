"""P18: a build's own time, from `tickets_ready` to `build_done` with a model that needs no time, beside that
of another checkout.

python -m bench.plans TREE [ROUNDS [TICKETS …]]     (half an hour; no key, no network)

TREE is a checkout of the version to stand beside, with a `.venv` of its own. Boxes are local, or containers
if WORKSPACE_RUNTIME=docker. With TREE=- only this version is measured. With PROFILE=1 each build is played
once, and where its worker waits is told instead.
"""

import asyncio
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import uvloop

from bench.measure import Cost, Figure, Row, cpu_ms, show_figures, show_ratios
from bench.model_server import KEY, settings_for
from bench.plan_script import played
from bench.service import Service, service_of
from tests.helpers.guide_client import GuideClient
from tests.helpers.model_server import Server, open_server

ROUNDS = 5
MUST = {6: 0.40, 12: 0.30, 24: 0.20}
SAMPLE_S = 0.2
LONGEST_S = 900
PROFILE = bool(os.environ.get("PROFILE"))
WATCHING = Path(__file__).with_name("watching")


@dataclass
class Side:
    """`built` has what each build has cost, by the number of its tickets; `boxes` the milliseconds of
    processor that its boxes have used, `checks` how many checks were run."""

    name: str
    running: Service
    person: GuideClient
    folder: Path
    built: dict[int, list[Cost]] = field(default_factory=lambda: defaultdict(list))
    boxes: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    checks: dict[int, int] = field(default_factory=dict)

    async def build(self, server: Server, tickets: int) -> None:
        server.scripts[KEY] = [played(tickets)]
        person = self.person
        job = await person.post("/api/jobs/", 201, {"prompt": "An app of parts."})
        path = f"/api/jobs/{job['id']}"
        async with person.socket(job["id"], "&since=0") as socket, asyncio.timeout(LONGEST_S):
            await socket.until("jobStatus", status="tickets_ready")
            began, spent = time.perf_counter(), self._cpu()
            async with processors(self.folder) as used:
                while (event := await socket.next()).get("status") != "build_done":
                    assert event.get("status") != "failed" or event["kind"] != "jobStatus", event
            wall = time.perf_counter() - began
        self.built[tickets].append(Cost(wall * 1000, self._cpu() - spent))
        self.boxes[tickets].append(sum(used.values()))
        self.checks[tickets] = len(await person.get(f"{path}/evidence/"))
        seen = (await person.get(f"{path}/"))["verification"]
        assert seen == "verified", seen
        assert (await person.http.delete(f"{path}/")).status_code == 204

    def _cpu(self) -> float:
        return cpu_ms(self.running.api) + cpu_ms(self.running.worker)


@asynccontextmanager
async def processors(folder: Path) -> AsyncIterator[dict[int, float]]:
    """The milliseconds that each box in this folder, by the id of its guest, has used within the block. A
    guest is the first process of its box, so what has ended there is counted with it."""
    used = dict[int, float]()

    async def look() -> None:
        while True:
            with suppress(OSError):  # a box is just being removed
                for pid in await asyncio.to_thread(_guests, folder):
                    with suppress(OSError):
                        used[pid] = cpu_ms(pid)
            await asyncio.sleep(SAMPLE_S)

    task = asyncio.create_task(look())
    try:
        yield used
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _guests(folder: Path) -> list[int]:
    """The process ids that bubblewrap has written for the boxes below `folder`."""
    found = []
    for path in [*folder.glob("*/*/box.json"), *folder.glob("*/*/*/box.json")]:
        with suppress(OSError, ValueError, IndexError):
            found.append(int(path.read_text().split(":")[1].split(",")[0].strip(" }\n")))
    return found


@asynccontextmanager
async def side_of(name: str, folder: Path, tree: Path | None, url: str) -> AsyncIterator[Side]:
    kind = os.environ.get("WORKSPACE_RUNTIME", "local")
    settings = settings_for(url) | {"WORKSPACE_RUNTIME": kind}
    if PROFILE:
        settings |= {"PYTHONPATH": str(WATCHING), "BENCH_PROFILE": str(profile_of(folder))}
    async with service_of(tree, folder, **settings) as running:
        person = await running.person()
        yield Side(name, running, person, folder)
        await person.http.aclose()


def rows(sides: list[Side], tickets: int) -> list[Row]:
    """By the clock, as the goal is. Without a side to stand beside there are none."""
    if len(sides) == 1:
        return []
    before, again, now = sides
    control = _median(again.built[tickets]) / _median(before.built[tickets])
    ours, against = ([Cost(each.wall) for each in side.built[tickets]] for side in (now, before))
    return [Row(f"{tickets} tickets", MUST.get(tickets, 1), ours, against, control)]


def _median(costs: list[Cost]) -> float:
    return sorted(cost.wall for cost in costs)[len(costs) // 2]


def figures(side: Side) -> list[Figure]:
    found = []
    for tickets, costs in side.built.items():
        name = f"{side.name}: {tickets} tickets"
        service = sorted(cost.server or 0 for cost in costs)[len(costs) // 2]
        boxes = sorted(side.boxes[tickets])[len(costs) // 2]
        found += [
            Figure(f"{name}, on the clock", _median(costs) / 1000, "s"),
            Figure(f"{name}, CPU of API and worker", service / 1000, "s"),
            Figure(f"{name}, CPU of boxes", boxes / 1000, "s"),
            Figure(f"{name}, pieces of evidence", side.checks[tickets]),
        ]
    return found


async def main(tree: Path | None, rounds: int, sizes: list[int], folder: Path) -> None:
    async with open_server() as server, AsyncExitStack() as stack:
        trees = [("now", None)] if tree is None else [("before", tree), ("again", tree), ("now", None)]
        sides = []
        for name, of in trees:
            opened = side_of(name, folder / name, of, server.url)
            sides.append(await stack.enter_async_context(opened))
        turns = list(sides)
        for side in sides:
            if not PROFILE:
                await side.build(server, min(sizes))  # to warm up
            side.built.clear()
            side.boxes.clear()
        for number in range(rounds):
            for tickets in sizes:
                for side in turns:
                    await side.build(server, tickets)
                    said = (side.built[tickets][-1], side.boxes[tickets][-1])
                    print(number, tickets, side.name, said, file=sys.stderr, flush=True)
            turns.reverse()
        if found := [row for tickets in sizes for row in rows(sides, tickets)]:
            show_ratios("P18: from `tickets_ready` to `build_done`", "before", found)
        show_figures("P18: a build's own time", [each for side in sides for each in figures(side)])


def show_profile(folder: Path, name: str) -> None:
    """How many seconds the worker has waited for each kind of call. Calls may run side by side."""
    found = orjson.loads(profile_of(folder).read_bytes())
    most = sorted(found.items(), key=lambda item: -item[1][0])
    waits = [Figure(f"{kind}, {times} times", seconds, "s") for kind, (seconds, times) in most]
    show_figures(f"{name}: where the worker waits", waits)


def profile_of(folder: Path) -> Path:
    return folder.with_suffix(".profile")


if __name__ == "__main__":
    given = sys.argv[1:]
    other = None if given[0] == "-" else Path(given[0]).absolute()
    with tempfile.TemporaryDirectory() as made:
        wanted = list(map(int, given[2:])) or list(MUST)
        sides = ["now"] if other is None else ["before", "now"]
        uvloop.run(main(other, int(given[1]) if len(given) > 1 else ROUNDS, wanted, Path(made)))
        for name in sides if PROFILE else ():
            show_profile(Path(made) / name, name)
