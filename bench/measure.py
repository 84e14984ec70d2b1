"""Times, their medians, and the tables they end in."""

import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from app.runtime.docker.find import USUAL_ENGINE, find_engine

HOST = find_engine(os.environ.get("DOCKER_HOST", "")) or USUAL_ENGINE
IMAGE = os.environ.get("WORKSPACE_IMAGE", "boardroom-workspace")


async def timed(act: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    await act()
    return (time.perf_counter() - began) * 1000


@dataclass(frozen=True)
class Row:
    """`against` is what the same thing costs without us, in the same run; `must` the ratio to stay below."""

    what: str
    ours: Sequence[float]
    against: Sequence[float]
    must: float

    def __str__(self) -> str:
        ours, against = statistics.median(self.ours), statistics.median(self.against)
        ratio = ours / against
        verdict = "yes" if ratio <= self.must else "**no**"
        late = sorted(self.ours)[max(0, round(len(self.ours) * 0.99) - 1)]
        cells = (
            self.what,
            f"{ours:.2f}",
            f"{late:.2f}",
            f"{against:.1f}",
            f"{ratio:.3f}",
            f"{self.must:.2f}",
        )
        return f"| {' | '.join(cells)} | {verdict} |"


def table(title: str, against: str, rows: Sequence[Row]) -> str:
    head = f"| | ours p50, ms | p99, ms | {against} p50, ms | ratio | must be ≤ | holds |"
    lines = [f"## {title}", "", head, "| --- | --- | --- | --- | --- | --- | --- |", *map(str, rows)]
    return (
        "\n".join(lines)
        + f"\n\n{len(rows[0].ours)} rounds; Python {platform.python_version()}, {os.cpu_count()} cores.\n"
    )
