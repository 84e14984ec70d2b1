"""One box on the engine: a container and two volumes. An empty volume records the job's highest fence.

All state is in the names and labels that the engine stores, so every process on every machine sees the same
state. If two processes make a box at the same time, only one of them gets the container's name.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal
from uuid import UUID

from aiodocker.stream import Stream

from app.runtime.boxes import Seen
from app.runtime.channel import Channel
from app.runtime.docker.engine import NOT_FOUND, Container, Engine, EngineRefused
from app.runtime.docker.hardening import RELAY_UID, Recipe, container_config
from app.runtime.docker.network import NO_NETWORK, Network
from app.runtime.docker.relay import COMMAND, EngineReader, EngineWriter
from app.runtime.leave import Connect
from app.runtime.workspace import BoxDied, FenceLost, SandboxUnavailable
from app.runtime.worlds import BoxId, labelled

INSTANCE, JOB, GUEST, FENCE = "boardroom.instance", "boardroom.job", "boardroom.guest", "boardroom.fence"
WORLD = "boardroom.world"
"""Label of the volumes of a box that is not the app's: `BoxId.label`."""
POOL = "boardroom.pool"
"""Label of what belongs to a box that was made in advance (see `pool`): the box's first name. Its volumes
keep that name."""
UUID_LENGTH = 36
ROUNDS = 50
GONE_S = 30.0
DEATH_S = 0.5
"""Seconds that the engine may take to notice that a container has ended, after its streams have ended."""


MAKE_IMAGE = "Make it: make workspace-image (or set WORKSPACE_IMAGE, or WORKSPACE_RUNTIME=local)."


def no_image(recipe: Recipe) -> str:
    return f"The container engine has no image {recipe.image}."


@dataclass(frozen=True)
class Fleet:
    """All boxes of one instance of the service: their engine, the instance's name, and how they are made.
    `marks` are further labels."""

    engine: Engine
    instance: str
    recipe: Recipe
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        return {INSTANCE: self.instance, **self.marks}

    @property
    def pool(self) -> str:
        """The prefix of the names of spare containers, which belong to no job yet."""
        return f"boardroom-{self.instance}-pool-"

    @cached_property
    def network(self) -> Network:
        return Network(self.engine, self.instance, self.labels, self.recipe.network)

    def name(self, box_id: BoxId) -> str:
        """The name of a box's container."""
        return "-".join(filter(None, ("boardroom", self.instance, box_id.label, str(box_id.job_id))))

    def box_named(self, name: str) -> BoxId | None:
        """The box of the container `name`; None for a spare one. Labels cannot tell: an adopted container
        keeps those it was made with."""
        label = name[len(f"boardroom-{self.instance}-") : -UUID_LENGTH].rstrip("-")
        return labelled(id_in(name), label)

    async def remove_spare(self, name: str) -> None:
        """Remove the container and volumes of a box that was made in advance. Its claim is removed last, so
        that nobody can claim it meanwhile."""
        await self.engine.remove(name)
        for part in ("app", "scratch", "claim"):
            await self.engine.remove_volume(f"{name}-{part}")


def id_in(name: str) -> UUID:
    """The UUID at the end of a container's name: its job's, or its own if it is a spare one."""
    return UUID(name[-UUID_LENGTH:])


class DockerBox:
    """One box on the engine; see `boxes.Box`. Every method may raise SandboxUnavailable, or its subclass
    EngineAway."""

    def __init__(
        self,
        fleet: Fleet,
        box_id: BoxId,
        spare: Callable[[DockerBox], Awaitable[str | None]] | None = None,
        watch: Callable[[DockerBox, Channel], None] | None = None,
    ) -> None:
        """`spare` claims a box that was made in advance, and returns its name. `watch` ends a channel when
        its box's container ends."""
        self.id = box_id
        self.name = fleet.name(box_id)
        self._fleet = fleet
        self._engine = fleet.engine
        self._recipe = fleet.recipe
        self._network = fleet.network
        self._job = {**fleet.labels, JOB: str(box_id.job_id)}
        self._labels = {**self._job, WORLD: box_id.label} if box_id.label else self._job
        self._spare = spare
        self._watch = watch
        self._seen: Container | None = None
        self._ends: Stream | None = None
        """The guest's own stdin and stdout. Only the process that made or adopted the container has them, and
        only until `open` returns them."""
        self._reader: EngineReader | None = None
        self._files = ""

    @property
    def connect(self) -> Connect | None:
        return self.connected if self._recipe.network == "install" else None

    async def look(self) -> Seen:
        container = self._seen = await self.inspect()
        if container is None:
            return Seen("asleep" if await self.exists() else "none")
        state: Literal["running", "frozen", "asleep"] = "asleep"
        if container.state in ("running", "paused"):
            state = "running" if container.state == "running" else "frozen"
        return Seen(state, container.began, container.failure, self.is_outdated(container))

    async def adopt(self) -> None:
        """That does not change how many are awake."""
        spare = None if self._spare is None else await self._spare(self)
        if spare is not None:
            await self._take_over(spare)

    async def wake(self, for_worker: bool) -> None:
        container = await self.awake(self._seen)
        if for_worker:
            await self.settle(container)

    def watch(self, channel: Channel) -> None:
        if self._watch is not None:
            self._watch(self, channel)

    async def last_words(self) -> str:
        """Empty if this object did not make the container."""
        return "" if self._reader is None else self._reader.stderr_tail

    async def exists(self) -> bool:
        """Whether the box has files. Its container may be missing."""
        labels = await self._engine.volume(f"{self.name}-app")
        self._files = (labels or {}).get(POOL, self.name)
        return labels is not None

    async def create(self) -> None:
        """Make the volume for the job's files, if there is none. The rest is made with the container."""
        labels = await self._engine.mark(f"{self.name}-app", self._labels)
        self._files = labels.get(POOL, self.name)

    async def _take_over(self, spare: str) -> None:
        """Take over the box `spare`, which this one has claimed. A volume cannot be renamed, so a volume with
        this box's name is made whose label says where the files are. If another process has made that volume
        already, `spare` is not needed and is removed."""
        labels = await self._engine.mark(f"{self.name}-app", {**self._labels, POOL: spare})
        self._files = labels.get(POOL, self.name)
        if self._files != spare:
            await self._fleet.remove_spare(spare)
        elif await self._engine.rename(spare, self.name):
            with _gone_meanwhile():
                self._ends = await self._engine.join(self.name)

    async def note_fence(self, fence: int) -> None:
        """Record `fence` as an empty volume, because the highest fence has to outlive the guest. Raises
        FenceLost if a higher one is recorded. If two workers do this at the same time, the lower one sees the
        higher."""
        mine = f"{self._fleet.name(BoxId(self.id.job_id))}-fence-{fence}"
        await self._engine.create_volume(mine, {**self._job, FENCE: str(fence)})
        marks = await self._engine.volumes({**self._job, FENCE: ""})
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
        """The running container, which is made or woken if necessary. `container` is its last known state.
        One that has ended is replaced: making another takes no longer than starting it again and attaching
        through a relay."""
        for _ in range(ROUNDS):
            if container is None:
                if made := await self._make():
                    return made
            elif container.state == "running":
                return container
            elif container.state == "paused":
                await self._engine.unpause(self.name)
            elif container.state == "created" and not self.is_outdated(container):
                # Whoever made it is about to start it, or died before doing so.
                with _gone_meanwhile():
                    await self._start(container)
            else:
                await self._engine.remove(container.id)
            container = await self.inspect()
        raise SandboxUnavailable("the box does not start")

    def is_outdated(self, container: Container) -> bool:
        """Whether it was made by another version of the service, or with other settings."""
        return container.labels.get(GUEST) != self._recipe.version

    async def settle(self, container: Container) -> None:
        """Connect the container to the network, or disconnect it, as the settings demand."""
        await self._network.settle(self.name, container)

    def connected(self) -> AbstractAsyncContextManager[None]:
        """A context in which the container has a network."""
        return self._network.connected(self.name)

    async def _make(self) -> Container | None:
        """Make and start the container. None if there is one already, or if it was removed meanwhile."""
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
        """A connection to the guest of the running container: the guest's own stdin and stdout if this object
        made or adopted the container, otherwise a relay. Raises BoxDied."""
        stream, self._ends = self._ends, None
        if stream is None:
            try:
                stream = await self._engine.run(self.name, COMMAND, f"{RELAY_UID}:{RELAY_UID}")
            except EngineRefused as refusal:
                raise BoxDied(str(refusal)) from refusal  # it ended after it was seen running
        self._reader = EngineReader(stream, self.cause_of_end)
        return self._reader, EngineWriter(stream, self._reader)

    async def leave(self) -> None:
        """Close the guest's own stdin and stdout, if `open` did not return them."""
        if self._ends is not None:
            await self._ends.close()
            self._ends = None

    async def cause_of_end(self) -> str:
        """Why the container has ended, as a clause for a log line; empty if it runs."""
        try:
            await self.ended()
            container = await self.inspect()
        except SandboxUnavailable as problem:
            return str(problem)
        if container is None:
            return "its container was removed"
        return "" if container.state == "running" else f"its container {container.end}"

    async def ended(self) -> None:
        """Wait up to `DEATH_S` for the container to end after its guest has."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEATH_S):
                await self._engine.wait(self.name)

    async def kill(self) -> None:
        """End the container and all its processes now. The files stay."""
        await self._engine.kill(self.name)

    async def remove(self) -> None:
        """Remove the container and all volumes, and wait until they are gone. With the app's box go the job's
        other boxes."""
        await remove_container(self._engine, self.name)
        volumes = await self._engine.volumes(self._labels)
        for label in {labels[WORLD] for labels in volumes.values() if WORLD in labels} - {self.id.label}:
            if (other := labelled(self.id.job_id, label)) is not None:
                await remove_container(self._engine, self._fleet.name(other))
        for spare in {labels[POOL] for labels in volumes.values() if POOL in labels}:
            await self._fleet.remove_spare(spare)
        for volume in volumes:
            await self._engine.remove_volume(volume)


async def remove_container(engine: Engine, name: str) -> None:
    """Remove a container and wait until it is gone, because its volumes are in use until then. Raises
    SandboxUnavailable after `GONE_S`."""
    try:
        async with asyncio.timeout(GONE_S):
            while await engine.inspect(name) is not None:
                await engine.remove(name)
    except TimeoutError as error:
        raise SandboxUnavailable(f"the container {name} is not gone yet") from error


@contextlib.contextmanager
def _gone_meanwhile() -> Iterator[None]:
    """Ignore that the container does not exist: another process removed it. The block ends there."""
    try:
        yield
    except EngineRefused as refusal:
        if refusal.status != NOT_FOUND:
            raise
