"""What the worlds of a job cost: a rehearsed build and a continuation, beside those of another checkout.

python -m bench.builds TREE [ROUNDS]     (about two minutes a round; no key, no network, no engine)

TREE is a checkout of the version to stand beside, with a `.venv` of its own.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import uvloop

from bench.measure import Cost, Figure, Row, show_figures, show_ratios
from bench.service import Service, service_of
from tests.helpers.guide_client import GuideClient, GuideSocket
from tests.helpers.visitor import Visitor

ROUNDS = 5
MUST = 1.05
IDEA = "A reading list for a book club: each book has a title, an author and a rating."
WISH = "Add CSV export"
LOOK_S, SAMPLE_S = 0.1, 0.25
"""Between two looks at the app while it goes live, and at the memory."""


@dataclass
class Built:
    """One job: seconds of its build and continuation, from the request to `build_done`; of the first check,
    from `building` to its end; for which the app said "just a moment" (None if never). MiB of all boxes at
    their largest; how many checks were run in both."""

    build: float
    continued: float
    first_check: float
    away: float | None
    memory: float
    memory_continued: float
    checks: int


@dataclass
class Side:
    running: Service
    person: GuideClient
    folder: Path
    built: list[Built] = field(default_factory=list)

    async def build(self) -> None:
        self.built.append(await _build(self))


async def _build(side: Side) -> Built:
    person = side.person
    job = await person.post("/api/jobs/", 201, {"prompt": IDEA})
    path = f"/api/jobs/{job['id']}"
    async with person.socket(job["id"], "&since=0") as socket:
        async with largest(side.folder) as memory:
            began = time.perf_counter()
            await person.post(f"{path}/start/", 202)
            await _done(socket)
            build = time.perf_counter() - began
        visitor = Visitor(person.http, job["id"])
        assert (await visitor.open()).status_code == 200
        async with largest(side.folder) as more_memory:
            began = time.perf_counter()
            await person.post(f"{path}/continue/", 202, {"requirements": WISH})
            await socket.until("jobStatus", status="building")
            async with _away(visitor) as away:
                await _done(socket)
                continued = time.perf_counter() - began
    evidence = await person.get(f"{path}/evidence/")
    first_check = _first_check(socket.seen, evidence)
    assert (await person.http.delete(f"{path}/")).status_code == 204
    return Built(build, continued, first_check, away.seconds, memory.mib, more_memory.mib, len(evidence))


async def _done(socket: GuideSocket) -> None:
    while (event := await socket.next())["kind"] != "jobStatus" or event["status"] != "build_done":
        assert event.get("status") != "failed", event


def _first_check(events: list[dict[str, Any]], evidence: list[dict[str, Any]]) -> float:
    began = next(each["timestamp"] for each in events if each.get("status") == "building")
    ended = min(each["created_at"] for each in evidence)
    return (_moment(ended) - _moment(began)).total_seconds()


def _moment(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))


@dataclass
class Away:
    seconds: float | None = None


@asynccontextmanager
async def _away(visitor: Visitor) -> AsyncIterator[Away]:
    """How long the app has said "just a moment" within the block: from the first such answer to the next
    good one."""
    found, over = Away(), asyncio.Event()

    async def look() -> None:
        since: float | None = None
        while since is not None or not over.is_set():  # `build_done` is said before the app is released
            answer = await visitor.ask("/")
            if answer.status_code == 503 and since is None:
                since = time.perf_counter()
            if answer.status_code == 200 and since is not None:
                found.seconds, since = time.perf_counter() - since, None
            await asyncio.sleep(LOOK_S)

    task = asyncio.create_task(look())
    try:
        yield found
    finally:
        over.set()
        await task


@dataclass
class Largest:
    mib: float = 0.0


@asynccontextmanager
async def largest(folder: Path) -> AsyncIterator[Largest]:
    """The most memory (PSS) that all boxes in this folder have used together within the block."""
    found = Largest()

    async def look() -> None:
        while True:
            found.mib = max(found.mib, await asyncio.to_thread(pss_mib, folder))
            await asyncio.sleep(SAMPLE_S)

    task = asyncio.create_task(look())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def pss_mib(folder: Path) -> float:
    """Of the sandboxes whose files are in the folder, and all that runs in them."""
    return sum(map(_pss_kib, _family(folder))) / 1024


def _family(folder: Path) -> set[int]:
    """Parents have lower ids than their children, but for the rare time that ids begin anew."""
    name, found = os.fsencode(folder), set[int]()
    for pid in sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        with suppress(OSError, IndexError):
            above = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if above in found or (words[0].endswith(b"bwrap") and any(name in word for word in words)):
                found.add(pid)
    return found


def _pss_kib(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def median(side: Side, of: Callable[[Built], float]) -> float:
    return statistics.median(map(of, side.built))


def rows(before: Side, again: Side, now: Side) -> Iterator[Row]:
    parts: list[tuple[str, Callable[[Built], float], float]] = [
        ("a build and a continuation", lambda built: built.build + built.continued, MUST),
        ("a build", lambda built: built.build, MUST),
        ("a continuation, its app in use", lambda built: built.continued, MUST),
        ("from `building` to the end of the first check", lambda built: built.first_check, MUST),
    ]
    for what, of, must in parts:
        ours, against = ([Cost(of(built) * 1000) for built in side.built] for side in (now, before))
        yield Row(what, must, ours, against, median(again, of) / median(before, of))


def figures(before: Side, now: Side) -> Iterator[Figure]:
    for name, side in (("before", before), ("now", now)):
        yield Figure(
            f"{name}: all boxes of a job that is built, at most", median(side, lambda b: b.memory), "MiB"
        )
        yield Figure(
            f"{name}: of one that is continued, its app in use",
            median(side, lambda b: b.memory_continued),
            "MiB",
        )
        yield Figure(f"{name}: checks that were run in both", median(side, lambda b: b.checks))
    away = [built.away for built in now.built if built.away is not None]
    yield Figure("now: “just a moment”, from the hold to the first answer", statistics.median(away), "s")


@asynccontextmanager
async def side_of(folder: Path, tree: Path | None) -> AsyncIterator[Side]:
    async with service_of(tree, folder, MODEL="rehearsal", REHEARSAL_PACE="0") as running:
        person = await running.person()
        yield Side(running, person, folder)
        await person.http.aclose()


async def main(tree: Path, rounds: int, folder: Path) -> None:
    async with (
        side_of(folder / "before", tree) as before,
        side_of(folder / "again", tree) as again,
        side_of(folder / "now", None) as now,
    ):
        turns = [before, now, again]
        for number in range(rounds + 1):
            for side in turns:
                await side.build()
                print(number, side.folder.name, side.built[-1], file=sys.stderr, flush=True)
                if not number:
                    side.built.clear()  # to warm up
            turns.reverse()
        show_ratios("The worlds of a job: a rehearsed build", "before", list(rows(before, again, now)))
        show_figures("The worlds of a job: memory and time", list(figures(before, now)))


if __name__ == "__main__":
    os.environ.pop("DOCKER_HOST", None)
    with tempfile.TemporaryDirectory() as made:
        given = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
        uvloop.run(main(Path(sys.argv[1]).absolute(), given, Path(made)))
