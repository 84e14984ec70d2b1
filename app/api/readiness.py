"""Whether the parts behind the service answer: all are asked at once, each with a short time limit."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from app.domain.errors import Unavailable

PATIENCE_S = 2.0

Probe = Callable[[], Awaitable[str]]
"""Returns in a few words how its part is. Raises Unavailable when the part does not work."""


@dataclass(frozen=True)
class PartState:
    ok: bool
    detail: str


@dataclass
class Remembered:
    """A slow probe whose outcome is kept for `for_s` seconds. It goes on in the background when the caller
    has stopped waiting, so that the next caller finds its outcome."""

    probe: Probe
    for_s: float
    _asked: float = -1e9
    _state: PartState = field(default=PartState(False, ""))
    _asking: asyncio.Task[None] | None = None

    async def __call__(self) -> str:
        if self._asking is None and time.monotonic() - self._asked > self.for_s:
            self._asking = asyncio.create_task(self._ask())
        if self._asking is not None:
            await asyncio.shield(self._asking)
        if not self._state.ok:
            raise Unavailable(self._state.detail)
        return self._state.detail

    async def _ask(self) -> None:
        try:
            self._state = await _state(self.probe, patience_s=30)
            self._asked = time.monotonic()
        finally:
            self._asking = None


async def examine(probes: Mapping[str, Probe]) -> dict[str, PartState]:
    """How each part is."""
    states = await asyncio.gather(*(_state(probe, PATIENCE_S) for probe in probes.values()))
    return dict(zip(probes, states, strict=True))


async def _state(probe: Probe, patience_s: float) -> PartState:
    try:
        async with asyncio.timeout(patience_s):
            return PartState(True, await probe())
    except TimeoutError:
        return PartState(False, "does not answer in time")
    except Unavailable as problem:
        return PartState(False, problem.detail)
