"""One job's box on the engine: a container, two volumes and a mark of the highest fence.

Names and labels are all the state there is, and they are the engine's, so any process on any machine finds
the same. Of two that make a box at once only one gets the container's name.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from app.runtime.docker.engine import NOT_FOUND, Container, Engine, EngineRefused
from app.runtime.docker.hardening import RELAY_UID, Recipe, container_config
from app.runtime.docker.network import Network
from app.runtime.docker.relay import COMMAND, ExecReader, ExecWriter
from app.runtime.workspace import FenceLost, SandboxUnavailable

INSTANCE, JOB, GUEST, FENCE = "boardroom.instance", "boardroom.job", "boardroom.guest", "boardroom.fence"
ROUNDS = 50
STARTS = 3
GONE_S = 30.0
DEATH_S = 0.5
"""How long the engine may take to notice the end of a container whose streams have ended."""


MAKE_IMAGE = "Make it: make workspace-image (or set WORKSPACE_IMAGE, or WORKSPACE_RUNTIME=local)."


def no_image(recipe: Recipe) -> str:
    return f"The container engine has no image {recipe.image}."


@dataclass(frozen=True)
class Company:
    """Whose boxes these are, on which engine, made how."""

    engine: Engine
    instance: str
    recipe: Recipe
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        return {INSTANCE: self.instance, **self.marks}

    @cached_property
    def network(self) -> Network:
        return Network(self.engine, self.instance, self.labels, self.recipe.network)


class DockerBox:
    """What the engine has of one job's box. Every verb raises SandboxUnavailable, as EngineAway too."""

    def __init__(self, company: Company, job_id: UUID) -> None:
        self.job_id = job_id
        self.name = f"boardroom-{company.instance}-{job_id}"
        self._engine = company.engine
        self._recipe = company.recipe
        self._network = company.network
        self._labels = {**company.labels, JOB: str(job_id)}

    async def exists(self) -> bool:
        """Whether it has files; the container may have been lost."""
        return await self._engine.has_volume(f"{self.name}-app")

    async def create(self) -> None:
        """Harmless when it is there."""
        names = (f"{self.name}-{part}" for part in ("scratch", "app"))
        await asyncio.gather(*(self._engine.create_volume(name, self._labels) for name in names))

    async def note_fence(self, fence: int) -> None:
        """Remember the highest fence beyond the life of a guest, as an empty volume that says so. Of two that
        do this at once the higher sees no other, the lower sees the higher. Raises FenceLost."""
        mine = f"{self.name}-fence-{fence}"
        await self._engine.create_volume(mine, {**self._labels, FENCE: str(fence)})
        marks = await self._engine.volumes({**self._labels, FENCE: ""})
        fences = {name: int(labels[FENCE]) for name, labels in marks.items()}
        if max(fences.values(), default=fence) > fence:
            await self._engine.remove_volume(mine)
            raise FenceLost("a newer worker has taken this workspace over")
        for name in fences:
            if name != mine:
                await self._engine.remove_volume(name)

    async def inspect(self) -> Container | None:
        return await self._engine.inspect(self.name)

    async def awake(self) -> Container:
        """The running container, made or started if need be."""
        starts = 0
        for _ in range(ROUNDS):
            container = await self.inspect()
            if container is None:
                await self._make()
            elif container.state == "running":
                return container
            elif container.state == "paused":
                await self._engine.unpause(self.name)
            elif container.state in ("created", "exited") and not self.is_outdated(container):
                if starts == STARTS:
                    break
                starts += 1
                with _gone_meanwhile():
                    await self._network.settle(self.name, container)
                    await self._engine.start(self.name)
            else:
                await self._engine.remove(container.id)
        raise SandboxUnavailable(f"the box does not start: {await self._engine.log_tail(self.name)}")

    def is_outdated(self, container: Container) -> bool:
        """Made by another version of the service, or with other settings."""
        return container.labels.get(GUEST) != self._recipe.version

    async def settle(self, container: Container) -> None:
        """See that it has a network if it should, and none if not."""
        await self._network.settle(self.name, container)

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Within, the container has a network."""
        return self._network.connected(self.name)

    async def _make(self) -> None:
        labels = {**self._labels, GUEST: self._recipe.version}
        try:
            await self._engine.create(self.name, container_config(self._recipe, self.name, labels))
        except EngineRefused as refusal:
            if refusal.status == NOT_FOUND:
                raise SandboxUnavailable(f"{no_image(self._recipe)} {MAKE_IMAGE}") from refusal
            raise

    async def open(self) -> tuple[ExecReader, ExecWriter]:
        """A relay to the guest of the running container."""
        stream = await self._engine.run(self.name, COMMAND, f"{RELAY_UID}:{RELAY_UID}")
        reader = ExecReader(stream, self.autopsy)
        return reader, ExecWriter(stream, reader)

    async def autopsy(self) -> str:
        """What the container died of; "" when it has not."""
        try:
            await self.ended()
            container = await self.inspect()
        except SandboxUnavailable as problem:
            return str(problem)
        if container is None:
            return "its container was removed"
        return "" if container.state == "running" else f"its container {container.end}"

    async def ended(self) -> None:
        """Give a container whose guest has gone the time to end by itself."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEATH_S):
                await self._engine.wait(self.name)

    async def log_tail(self) -> str:
        return await self._engine.log_tail(self.name)

    async def kill(self) -> None:
        """End the container now, with everything in it."""
        await self._engine.kill(self.name)

    async def remove(self) -> None:
        """Until nothing is left of it."""
        async with _in_time(f"the container {self.name} is not gone yet"):
            while await self.inspect() is not None:
                await self._engine.remove(self.name)
        for volume in await self._engine.volumes(self._labels):
            await self._engine.remove_volume(volume)


@contextlib.contextmanager
def _gone_meanwhile() -> Iterator[None]:
    try:
        yield
    except EngineRefused as refusal:
        if refusal.status != NOT_FOUND:
            raise


@contextlib.asynccontextmanager
async def _in_time(otherwise: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(GONE_S):
            yield
    except TimeoutError as error:
        raise SandboxUnavailable(otherwise) from error
