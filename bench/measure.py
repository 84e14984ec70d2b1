"""What an operation costs beside its bare alternative in the same run, and the tables it ends in.

Only ratios travel between machines. Each side is measured in turns with the other, after a control in which
the bare side stands against itself: where that differs by more than a tenth, the run gives no verdict.
"""

import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from app.runtime.docker.find import USUAL_ENGINE, find_engine

HOST = find_engine(os.environ.get("DOCKER_HOST", "")) or USUAL_ENGINE
IMAGE = os.environ.get("WORKSPACE_IMAGE", "boardroom-workspace")

ROUNDS = 5
A_TENTH = 0.1

_load_before = os.getloadavg()[0]


@dataclass(frozen=True)
class Cost:
    """Of one operation, in milliseconds: on the clock, of the server's processes (None where they cannot be
    told apart), and of this process, the client."""

    wall: float
    server: float | None = None
    client: float = 0.0


Act = Callable[[], Awaitable[Cost]]


async def cost(act: Callable[[], Awaitable[object]], times: int = 1, server: int | None = None) -> Cost:
    """Of one of the so many operations of `act`; `server` is the root of a tree of processes."""
    server_before = cpu_ms(server) if server else 0.0
    client_before, began = time.process_time(), time.perf_counter()
    await act()
    wall, client = time.perf_counter() - began, time.process_time() - client_before
    spent = (cpu_ms(server) - server_before) / times if server else None
    return Cost(wall * 1000 / times, spent, client * 1000 / times)


def cpu_ms(pid: int) -> float:
    """What the process and all that it started have used so far, in user and in system mode."""
    process = Path(f"/proc/{pid}")
    fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
    own = sum(map(int, fields[11:15])) * 1000 / os.sysconf("SC_CLK_TCK")
    children = [child for task in process.glob("task/*/children") for child in task.read_text().split()]
    return own + sum(cpu_ms(int(child)) for child in children)


@dataclass(frozen=True)
class Side:
    """What is ours, and the ratio to the bare side that it must stay below."""

    what: str
    act: Act
    must: float


@dataclass(frozen=True)
class Row:
    """Decided by the server's CPU where it is known, else by the clock."""

    what: str
    must: float
    ours: Sequence[Cost]
    against: Sequence[Cost]
    control: float

    @property
    def by_cpu(self) -> bool:
        return all(each.server is not None for each in (*self.ours, *self.against))

    @property
    def holds(self) -> bool | None:
        """None is no verdict."""
        if abs(self.control - 1) > A_TENTH:
            return None
        return _ratio(self.ours, self.against, by_cpu=self.by_cpu) <= self.must

    def cells(self) -> Iterable[str]:
        yield self.what
        if self.by_cpu:
            yield from (f"{_cpu(self.ours):.3f}", f"{_cpu(self.against):.3f}")
            yield f"**{_ratio(self.ours, self.against, by_cpu=True):.3f}**"
        else:
            yield from "–––"
        yield from (f"{_wall(self.ours):.2f}", f"{_late(self.ours):.2f}", f"{_wall(self.against):.2f}")
        ratio = f"{_ratio(self.ours, self.against, by_cpu=False):.3f}"
        yield ratio if self.by_cpu else f"**{ratio}**"
        yield f"{_client(self.ours):.3f} / {_client(self.against):.3f}"
        yield from (f"{self.control:.2f}", f"{self.must:.3g}", VERDICTS[self.holds])


@dataclass(frozen=True)
class Figure:
    """One that stands against nothing but its limit; without a limit it is only told."""

    what: str
    value: float
    unit: str = ""
    must: float | None = None
    at_least: bool = False

    @property
    def holds(self) -> bool | None:
        if self.must is None:
            return None
        return self.value >= self.must if self.at_least else self.value <= self.must

    def cells(self) -> Iterable[str]:
        yield from (self.what, f"{self.value:.4g} {self.unit}".strip())
        yield "–" if self.must is None else f"{'≥' if self.at_least else '≤'} {self.must:g}"
        yield "–" if self.must is None else VERDICTS[self.holds]


VERDICTS = {True: "yes", False: "**no**", None: "no verdict"}

RATIOS = (
    *("", "CPU, ms", "{0}", "ratio", "wall p50, ms", "p99", "{0}", "ratio"),
    *("client CPU, ms", "A/A", "must be ≤", "holds"),
)
FIGURES = ("", "figure", "must be", "holds")


async def compare(against: Act, *sides: Side, rounds: int = ROUNDS) -> list[Row]:
    """Each side once to warm up, the control, then all in turns, every other round the other way round."""
    acts = [against, *(side.act for side in sides)]
    for act in acts:
        await act()
    first, second = await _in_turns([against, against], rounds)
    control = _ratio(second, first, by_cpu=all(each.server is not None for each in first))
    bare, *ours = await _in_turns(acts, rounds)
    return [Row(side.what, side.must, costs, bare, control) for side, costs in zip(sides, ours, strict=True)]


async def _in_turns(acts: Sequence[Act], rounds: int) -> list[list[Cost]]:
    costs: list[list[Cost]] = [[] for _ in acts]
    turns = list(zip(costs, acts, strict=True))
    for _ in range(rounds):
        for found, act in turns:
            found.append(await act())
        turns.reverse()
    return costs


def show_ratios(title: str, against: str, rows: Sequence[Row]) -> None:
    """The table, as Markdown and in a line of JSON."""
    _table(title, [name.format(against) for name in RATIOS], rows)
    data = [asdict(row) | {"by_cpu": row.by_cpu, "holds": row.holds} for row in rows]
    _ending(f"{len(rows[0].ours)} rounds", {"title": title, "against": against, "rows": data})


def show_figures(title: str, figures: Sequence[Figure], note: str = "") -> None:
    _table(title, FIGURES, figures)
    data = [asdict(figure) | {"holds": figure.holds} for figure in figures]
    _ending(note, {"title": title, "note": note, "figures": data})


def _table(title: str, names: Sequence[str], rows: Sequence[Row | Figure]) -> None:
    print(f"## {title}\n")
    for cells in (names, ["---"] * len(names), *(row.cells() for row in rows)):
        print(f"| {' | '.join(cells)} |")


def _ending(note: str, data: dict[str, object]) -> None:
    load = (_load_before, os.getloadavg()[0])
    python, cores = platform.python_version(), os.cpu_count()
    said = f"{note}; " if note else ""
    print(f"\n{said}Python {python}, {cores} cores, load {load[0]:.1f} before and {load[1]:.1f} after.\n")
    print(orjson.dumps({**data, "load": load, "python": python, "cores": cores}).decode() + "\n", flush=True)


def _ratio(ours: Sequence[Cost], against: Sequence[Cost], *, by_cpu: bool) -> float:
    of = _cpu if by_cpu else _wall
    return of(ours) / of(against)


def _cpu(costs: Sequence[Cost]) -> float:
    return statistics.median(each.server for each in costs if each.server is not None)


def _wall(costs: Sequence[Cost]) -> float:
    return statistics.median(each.wall for each in costs)


def _client(costs: Sequence[Cost]) -> float:
    return statistics.median(each.client for each in costs)


def _late(costs: Sequence[Cost]) -> float:
    return sorted(each.wall for each in costs)[max(0, round(len(costs) * 0.99) - 1)]
