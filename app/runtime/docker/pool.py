"""Boxes made in advance: a job that needs its first one adopts it instead of waiting until one is made.

A spare box is a running container with two volumes, all named after itself, which is nobody's. Whose it
becomes is a volume more, its *claim*: of two that make it at once the engine keeps the first one's labels and
shows them to both. A claim with a job is that job's for good; one without says that the box is to go.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import structlog

from app.runtime.docker.boxes import GUEST, JOB, POOL, Company
from app.runtime.docker.engine import Container, EngineRefused
from app.runtime.docker.hardening import container_config

log = structlog.get_logger()


@dataclass
class Found:
    """What the engine has of one box that was made in advance."""

    container: Container | None = None
    claimed: bool = False
    job: str = ""


@dataclass
class Pool:
    """Every verb raises SandboxUnavailable."""

    company: Company
    _suspects: frozenset[str] = field(default_factory=frozenset)
    """What the round before found unfinished: somebody may have been at it."""

    async def claim(self, job_id: UUID) -> str | None:
        """The name of a spare box that is this job's from now on; None when there is none."""
        for name in await self.spare():
            labels = {**self.company.labels, POOL: name, JOB: str(job_id)}
            said = await self.company.engine.mark(f"{name}-claim", labels)
            if said.get(JOB) == str(job_id):
                return name
        return None

    async def spare(self) -> list[str]:
        """The names of those that run and are as we would make them; some of them may be claimed already."""
        return sorted(name for name, each in (await self._containers()).items() if self._is_good(each))

    async def tend(self, wanted: int) -> None:
        """See that so many are spare, and that nothing is left of any that are not."""
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
        """Whether it is gone; it is not when a job has claimed it."""
        labels = {**self.company.labels, POOL: name}
        if JOB in await self.company.engine.mark(f"{name}-claim", labels):
            return False
        await self.company.remove_spare(name)
        return True

    async def end(self) -> None:
        """Nothing is left of what nobody has claimed."""
        for name, each in (await self._look()).items():
            await self._clear(name, each)

    async def _clear(self, name: str, found: Found) -> None:
        if not found.job:
            await self.discard(name)
        elif found.container is not None:
            # Its job did without. The volumes may be the job's, and go with it.
            await self.company.engine.remove(name)

    async def _make(self, wanted: int) -> None:
        """One more, unless others do so too: a container is counted before it is started, so that there is
        sooner one too few, until the next round, than one too many."""
        company, name = self.company, f"{self.company.pool}{uuid4()}"
        labels = {**company.labels, POOL: name, GUEST: company.recipe.version}
        try:
            await company.engine.create(name, container_config(company.recipe, name, labels))
            if _awake(await self._containers()) <= wanted:
                await company.network.settle(name, Container("", "created", labels))
                await company.engine.start(name)
                return
        except EngineRefused as refusal:
            log.warning("pool.not_filled", problem=str(refusal))
        await self.discard(name)

    def _is_good(self, container: Container) -> bool:
        return container.state == "running" and container.labels[GUEST] == self.company.recipe.version

    def _is_in_use(self, found: Found) -> bool:
        """By the job that claimed it: its container has the job's name then."""
        return bool(found.job) and found.container is None

    async def _containers(self) -> dict[str, Container]:
        """Those that have not become a job's."""
        found = await self.company.engine.containers({**self.company.labels, POOL: ""})
        return {name: each for name, each in found.items() if name.startswith(self.company.pool)}

    async def _look(self) -> dict[str, Found]:
        found: dict[str, Found] = defaultdict(Found)
        for name, labels in (await self.company.engine.volumes({**self.company.labels, POOL: ""})).items():
            each = found[labels[POOL]]
            if name.endswith("-claim"):
                each.claimed, each.job = True, labels.get(JOB, "")
        for name, container in (await self._containers()).items():
            found[name].container = container
        return found


def _awake(containers: Mapping[str, Container]) -> int:
    """How many have a place, or are about to; of whatever version."""
    return sum(each.state in ("created", "running") for each in containers.values())
