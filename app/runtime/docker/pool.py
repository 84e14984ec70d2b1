"""A pool of spare boxes, made in advance, so that a job does not have to wait for its first box.

A spare box is a running container with two volumes; their names contain a UUID of its own instead of a job's.
It is claimed by making one more volume, its *claim*. If two processes make the claim at the same time, the
engine keeps the labels of the first and shows them to both. A claim that names a job gives the box to that
job for good. A claim that names none marks the box for removal.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import structlog

from app.runtime.docker.boxes import GUEST, JOB, POOL, WORLD, Fleet
from app.runtime.docker.engine import Container, EngineRefused
from app.runtime.docker.hardening import container_config
from app.runtime.worlds import BoxId

log = structlog.get_logger()


@dataclass
class Found:
    """What the engine has of one box that was made in advance; `job` is the job that claimed it, if any."""

    container: Container | None = None
    claimed: bool = False
    job: str = ""


@dataclass
class Pool:
    """The spare boxes of one instance. Every method may raise SandboxUnavailable."""

    fleet: Fleet
    _suspects: frozenset[str] = field(default_factory=frozenset)
    """Boxes that the last round found incomplete. They are removed only if they still are in the next round:
    another process may have been making them."""

    async def claim(self, box_id: BoxId) -> str | None:
        """Claim a spare box as this one and return its name; None if there is none."""
        for name in await self.spare():
            labels = {**self.fleet.labels, POOL: name, JOB: str(box_id.job_id), WORLD: box_id.label}
            said = await self.fleet.engine.mark(f"{name}-claim", labels)
            if (said.get(JOB), said.get(WORLD)) == (labels[JOB], labels[WORLD]):
                return name
        return None

    async def spare(self) -> list[str]:
        """The names of the spare boxes that run and are of the present version. Some may just have been
        claimed."""
        return sorted(name for name, each in (await self._containers()).items() if self._is_good(each))

    async def tend(self, wanted: int) -> None:
        """Make or remove boxes until `wanted` are spare, and remove what is left of incomplete ones."""
        found = await self._look()
        unfinished = set()
        good = []
        for name, each in found.items():
            if each.container is not None and not each.claimed and self._is_good(each.container):
                good.append(name)
            elif not self._is_in_use(each):
                unfinished.add(name)
        for name in unfinished & self._suspects:
            await self._clear(name, found[name])
        self._suspects = frozenset(unfinished)
        for name in sorted(good)[wanted:]:
            await self.discard(name)
        for _ in range(wanted - _awake(await self._containers())):
            await self._make(wanted)

    async def discard(self, name: str) -> bool:
        """Remove a spare box. False if a job has claimed it."""
        labels = {**self.fleet.labels, POOL: name}
        if JOB in await self.fleet.engine.mark(f"{name}-claim", labels):
            return False
        await self.fleet.remove_spare(name)
        return True

    async def end(self) -> None:
        """Remove all boxes of the pool that no job has claimed."""
        for name, each in (await self._look()).items():
            await self._clear(name, each)

    async def _clear(self, name: str, found: Found) -> None:
        if not found.job:
            await self.discard(name)
        elif found.container is not None:
            # The job that claimed it made another container. The volumes may hold its files: they stay until
            # the job is deleted.
            await self.fleet.engine.remove(name)

    async def _make(self, wanted: int) -> None:
        """Make one more box, unless other processes do so at the same time. Containers are counted before
        this one is started, so there may be one too few until the next round, but never one too many."""
        fleet, name = self.fleet, f"{self.fleet.pool}{uuid4()}"
        labels = {**fleet.labels, POOL: name, GUEST: fleet.recipe.version}
        try:
            await fleet.engine.create(name, container_config(fleet.recipe, name, labels))
            if _awake(await self._containers()) <= wanted:
                await fleet.network.settle(name, Container("", "created", labels))
                await fleet.engine.start(name)
                return
        except EngineRefused as refusal:
            log.warning("pool.not_filled", problem=str(refusal))
        await self.discard(name)

    def _is_good(self, container: Container) -> bool:
        return container.state == "running" and container.labels[GUEST] == self.fleet.recipe.version

    def _is_in_use(self, found: Found) -> bool:
        """Whether the job that claimed it uses it: its container has then been renamed to the job's."""
        return bool(found.job) and found.container is None

    async def _containers(self) -> dict[str, Container]:
        """The containers of the pool, without those that a job has adopted."""
        found = await self.fleet.engine.containers({**self.fleet.labels, POOL: ""})
        return {name: each for name, each in found.items() if name.startswith(self.fleet.pool)}

    async def _look(self) -> dict[str, Found]:
        found: dict[str, Found] = defaultdict(Found)
        for name, labels in (await self.fleet.engine.volumes({**self.fleet.labels, POOL: ""})).items():
            each = found[labels[POOL]]
            if name.endswith("-claim"):
                each.claimed, each.job = True, labels.get(JOB, "")
        for name, container in (await self._containers()).items():
            found[name].container = container
        return found


def _awake(containers: Mapping[str, Container]) -> int:
    """How many run or are about to, of any version."""
    return sum(each.state in ("created", "running") for each in containers.values())
