"""One job's box on the engine: a container, two volumes and a mark of the highest fence.

Names and labels are all the state there is, and they are the engine's, so any process on any machine finds
the same. Of two that make a box at once only one gets the container's name.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from aiodocker.stream import Stream

from app.runtime.docker.engine import NOT_FOUND, Container, Engine, EngineRefused
from app.runtime.docker.hardening import RELAY_UID, Recipe, container_config
from app.runtime.docker.network import NO_NETWORK, Network
from app.runtime.docker.relay import COMMAND, EngineReader, EngineWriter
from app.runtime.workspace import FenceLost, SandboxUnavailable

INSTANCE, JOB, GUEST, FENCE = "boardroom.instance", "boardroom.job", "boardroom.guest", "boardroom.fence"
POOL = "boardroom.pool"
"""The name that a box had which was made in advance (see `pool`): its volumes keep it."""
UUID_LENGTH = 36
ROUNDS = 50
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

    @property
    def pool(self) -> str:
        """What the names of containers begin with that are nobody's yet."""
        return f"boardroom-{self.instance}-pool-"

    @cached_property
    def network(self) -> Network:
        return Network(self.engine, self.instance, self.labels, self.recipe.network)

    def job_of(self, name: str) -> UUID | None:
        """Whose container that is; a label cannot say it of one that was adopted."""
        return None if name.startswith(self.pool) else id_in(name)

    async def remove_spare(self, name: str) -> None:
        """All of a box that was made in advance, its claim last."""
        await self.engine.remove(name)
        for part in ("app", "scratch", "claim"):
            await self.engine.remove_volume(f"{name}-{part}")


def id_in(name: str) -> UUID:
    """A container's name ends in its job's id, or its own."""
    return UUID(name[-UUID_LENGTH:])


class DockerBox:
    """What the engine has of one job's box. Every verb raises SandboxUnavailable, as EngineAway too."""

    def __init__(self, company: Company, job_id: UUID) -> None:
        self.job_id = job_id
        self.name = f"boardroom-{company.instance}-{job_id}"
        self._company = company
        self._engine = company.engine
        self._recipe = company.recipe
        self._network = company.network
        self._labels = {**company.labels, JOB: str(job_id)}
        self._ends: Stream | None = None
        """Those of the guest itself, as long as they are ours to take: it was we who made or adopted it."""
        self._reader: EngineReader | None = None
        self._files = ""

    async def exists(self) -> bool:
        """Whether it has files; the container may have been lost."""
        labels = await self._engine.volume(f"{self.name}-app")
        self._files = (labels or {}).get(POOL, self.name)
        return labels is not None

    async def create(self) -> None:
        """Its files, that is; the rest is made with the container. Harmless when it is there."""
        labels = await self._engine.mark(f"{self.name}-app", self._labels)
        self._files = labels.get(POOL, self.name)

    async def adopt(self, spare: str) -> None:
        """Take a box that is claimed for this job. Its volumes keep their names: one that would be this box's
        own says where the files are instead, unless somebody has made it already."""
        labels = await self._engine.mark(f"{self.name}-app", {**self._labels, POOL: spare})
        self._files = labels.get(POOL, self.name)
        if self._files != spare:
            await self._company.remove_spare(spare)
        elif await self._engine.rename(spare, self.name):
            with _gone_meanwhile():
                self._ends = await self._engine.join(self.name)

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

    async def awake(self, container: Container | None) -> Container:
        """The running container, made or woken if need be; `container` is what was seen of it last. One that
        has ended is replaced: to make another takes no longer than to start it and to send a relay."""
        for _ in range(ROUNDS):
            if container is None:
                if made := await self._make():
                    return made
            elif container.state == "running":
                return container
            elif container.state == "paused":
                await self._engine.unpause(self.name)
            elif container.state == "created" and not self.is_outdated(container):
                # Somebody is about to start it, or has died before.
                with _gone_meanwhile():
                    await self._start(container)
            else:
                await self._engine.remove(container.id)
            container = await self.inspect()
        raise SandboxUnavailable("the box does not start")

    def is_outdated(self, container: Container) -> bool:
        """Made by another version of the service, or with other settings."""
        return container.labels.get(GUEST) != self._recipe.version

    async def settle(self, container: Container) -> None:
        """See that it has a network if it should, and none if not."""
        await self._network.settle(self.name, container)

    def connected(self) -> AbstractAsyncContextManager[None]:
        """Within, the container has a network."""
        return self._network.connected(self.name)

    async def _make(self) -> Container | None:
        """The container, made and started; None when there is one already, or it has gone meanwhile."""
        if not self._files:
            await self.exists()
        labels = {**self._labels, GUEST: self._recipe.version}
        config = container_config(self._recipe, self._files, labels)
        made = Container("", "running", labels, networks=frozenset({NO_NETWORK}))
        try:
            if not await self._engine.create(self.name, config):
                return None
        except EngineRefused as refusal:
            if refusal.status == NOT_FOUND:
                raise SandboxUnavailable(f"{no_image(self._recipe)} {MAKE_IMAGE}") from refusal
            raise
        await self.leave()
        with _gone_meanwhile():
            self._ends = await self._engine.join(self.name)
            try:
                await self._start(made)
            except SandboxUnavailable:
                await self.leave()
                raise
            return made
        return None

    async def _start(self, container: Container) -> None:
        await self._network.settle(self.name, container)
        await self._engine.start(self.name)

    async def open(self) -> tuple[EngineReader, EngineWriter]:
        """A way to the guest of the running container: its own ends for who has made it, else a relay."""
        stream, self._ends = self._ends, None
        if stream is None:
            stream = await self._engine.run(self.name, COMMAND, f"{RELAY_UID}:{RELAY_UID}")
        self._reader = EngineReader(stream, self.autopsy)
        return self._reader, EngineWriter(stream, self._reader)

    async def leave(self) -> None:
        """Give the guest's own ends back, if they were not used."""
        if self._ends is not None:
            await self._ends.close()
            self._ends = None

    @property
    def words(self) -> str:
        """The last that the guest said on stderr, if we made the container."""
        return "" if self._reader is None else self._reader.words

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

    async def kill(self) -> None:
        """End the container now, with everything in it."""
        await self._engine.kill(self.name)

    async def remove(self) -> None:
        """Until nothing is left of it."""
        await remove_container(self._engine, self.name)
        volumes = await self._engine.volumes(self._labels)
        for spare in {labels[POOL] for labels in volumes.values() if POOL in labels}:
            await self._company.remove_spare(spare)
        for volume in volumes:
            await self._engine.remove_volume(volume)


async def remove_container(engine: Engine, name: str) -> None:
    """And wait until it is gone: as long as it is going, its volumes are in use."""
    try:
        async with asyncio.timeout(GONE_S):
            while await engine.inspect(name) is not None:
                await engine.remove(name)
    except TimeoutError as error:
        raise SandboxUnavailable(f"the container {name} is not gone yet") from error


@contextlib.contextmanager
def _gone_meanwhile() -> Iterator[None]:
    try:
        yield
    except EngineRefused as refusal:
        if refusal.status != NOT_FOUND:
            raise
