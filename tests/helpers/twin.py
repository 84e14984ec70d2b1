"""A test double of the runtime that fails like real ones: its boxes are slow, do not start, die during a
call, or report wrong results.

It wraps a real runtime, so that everything else is what a real box does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from app.domain.workspace import NetworkMode
from app.runtime.runtime import Diagnosis, Runtime
from app.runtime.workspace import BoxDied, BoxStatus, CheckResult, SandboxUnavailable, Workspace
from app.runtime.worlds import BoxId, World


@dataclass
class Misfortune:
    """What goes wrong. `slow_s`: seconds to wait before each call. `never`: no box can be made. `dies_at`:
    names of calls; the box dies once before it answers each of them. `lie`: the result that every check
    reports."""

    slow_s: float = 0.0
    never: bool = False
    dies_at: set[str] = field(default_factory=set)
    lie: bool | None = None


class Twin:
    """A `runtime.Runtime` with a misfortune."""

    kind = "twin"

    def __init__(self, real: Runtime, misfortune: Misfortune) -> None:
        self._real = real
        self._misfortune = misfortune

    @property
    def network(self) -> NetworkMode:
        return self._real.network

    @property
    def shared(self) -> bool:
        return self._real.shared

    async def attach(
        self,
        job_id: UUID,
        *,
        world: World = World.APP,
        slot: int = 0,
        fence: int | None = None,
        create: bool = False,
    ) -> Workspace:
        await asyncio.sleep(self._misfortune.slow_s)
        if self._misfortune.never:
            raise SandboxUnavailable("there is no room in the world")
        real = await self._real.attach(job_id, world=world, slot=slot, fence=fence, create=create)
        spoiled: Any = _Spoiled(real, self._misfortune, self._real.stop_all)
        found: Workspace = spoiled
        return found

    async def visit(self, job_id: UUID) -> Workspace:
        return await self._real.visit(job_id)

    async def awake(self) -> frozenset[UUID]:
        return await self._real.awake()

    async def status(self, job_id: UUID, world: World = World.APP, slot: int = 0) -> BoxStatus:
        return await self._real.status(job_id, world, slot)

    async def stop(self, job_id: UUID, world: World = World.APP, slot: int = 0) -> None:
        await self._real.stop(job_id, world, slot)

    async def discard(self, job_id: UUID, world: World, slot: int = 0) -> None:
        await self._real.discard(job_id, world, slot)

    async def destroy(self, job_id: UUID) -> None:
        await self._real.destroy(job_id)

    async def worlds(self) -> frozenset[BoxId]:
        return await self._real.worlds()

    async def boxes(self) -> frozenset[UUID]:
        return await self._real.boxes()

    async def rest(self) -> None:
        await self._real.rest()

    async def examine(self) -> Diagnosis:
        return await self._real.examine()

    async def stop_all(self) -> None:
        await self._real.stop_all()

    async def close(self) -> None:
        await self._real.close()


class _Spoiled:
    """An attachment of the real runtime whose calls may fail."""

    def __init__(self, real: Workspace, misfortune: Misfortune, kill: Callable[[], Awaitable[None]]) -> None:
        self._real = real
        self._misfortune = misfortune
        self._kill = kill

    def _lied(self, result: CheckResult) -> CheckResult:
        return replace(result, passed=bool(self._misfortune.lie), exit_code=0, output_tail="all is well")

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._real, name)
        if name in ("download", "archive", "pack", "aside", "close"):
            return call

        async def spoiled(*args: Any, **kwargs: Any) -> Any:
            misfortune = self._misfortune
            await asyncio.sleep(misfortune.slow_s)
            if name in misfortune.dies_at:
                misfortune.dies_at.remove(name)
                await self._kill()
                raise BoxDied("its container was struck by lightning")
            answer = await call(*args, **kwargs)
            if misfortune.lie is not None and isinstance(answer, CheckResult):
                return self._lied(answer)
            return answer

        return spoiled
