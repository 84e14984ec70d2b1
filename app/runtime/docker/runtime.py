"""The Docker runtime: each box is a container on an engine, local or remote."""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from app.domain.workspace import NetworkMode
from app.runtime.channel import Channel, Patience
from app.runtime.docker.boxes import JOB, WORLD, DockerBox, Fleet, id_in
from app.runtime.docker.deaths import Deathwatch
from app.runtime.docker.engine import Engine, EngineRefused
from app.runtime.docker.hardening import Recipe
from app.runtime.docker.pool import Pool
from app.runtime.docker.trial import examine, remove_old_trials
from app.runtime.keeping import Boxes
from app.runtime.runtime import Diagnosis
from app.runtime.workspace import SandboxUnavailable, WorkspaceBusy
from app.runtime.worlds import BoxId, World, labelled


class DockerRuntime(Boxes):
    """See `runtime.Runtime`. `instance` returns the name of this service, which tells its boxes from those of
    other services on the same engine. Boxes of other services are never touched. `rest_s` is the idle time in
    seconds after which a box is frozen."""

    kind = "docker"
    shared = True

    def __init__(
        self,
        host: str,
        instance: Callable[[], Awaitable[str]],
        recipe: Recipe,
        *,
        max_boxes: int = 20,
        rest_s: float = 900,
        spare_boxes: int = 0,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(max_boxes, patience)
        self.image = recipe.image
        self._engine = Engine(host)
        self._ask_instance = instance
        self._recipe = recipe
        self._max_boxes = max_boxes
        self._spare_boxes = spare_boxes
        self._rest_s = rest_s
        self._fleet: Fleet | None = None
        self._pool: Pool | None = None
        self._deaths: Deathwatch | None = None

    @property
    def network(self) -> NetworkMode:
        return self._recipe.network

    async def discard(self, job_id: UUID, world: World, slot: int = 0) -> None:
        if world is World.APP:
            raise ValueError("the app's box goes with its job")
        await self._remove(BoxId(job_id, world, slot))

    async def destroy(self, job_id: UUID) -> None:
        await self._remove(BoxId(job_id))

    async def has_image(self) -> bool:
        """Whether the engine answers and has the image of the boxes."""
        try:
            return await self._engine.has_image(self._recipe.image)
        except SandboxUnavailable:
            return False

    async def worlds(self) -> frozenset[BoxId]:
        fleet = await self._ours()
        volumes = await self._engine.volumes({**fleet.labels, JOB: ""})
        places = [labels for name, labels in volumes.items() if name.endswith("-app")]
        found = {labelled(UUID(labels[JOB]), labels.get(WORLD, "")) for labels in places}
        return frozenset(box_id for box_id in found if box_id is not None)

    async def boxes(self) -> frozenset[UUID]:
        fleet = await self._ours()
        volumes = await self._engine.volumes({**fleet.labels, JOB: ""})
        containers = await self._engine.containers({**fleet.labels, JOB: ""})
        labels = [*volumes.values(), *(each.labels for each in containers.values())]
        return frozenset(UUID(each[JOB]) for each in labels)

    async def rest(self) -> None:
        """Freeze boxes that were idle for `rest_s` seconds: they wake in an instant with their app. As they
        keep their memory, the oldest ones are removed if more than `max_boxes` are frozen."""
        fleet = await self._ours()
        found = await self._engine.containers(fleet.labels)
        frozen = [name for name, each in found.items() if each.state == "paused"]
        running = [fleet.box_named(name) for name, each in found.items() if each.state == "running"]
        boxes = [box_id for box_id in running if box_id is not None]
        uses = await asyncio.gather(*(self._use(box_id) for box_id in boxes))
        for box_id, (busy, idle_s) in zip(boxes, uses, strict=True):
            if not busy and self._rest_s <= idle_s < math.inf:
                # An engine without cgroups cannot freeze. The guest then ends the idle box itself, a little
                # later.
                with contextlib.suppress(EngineRefused):
                    await self._engine.pause(fleet.name(box_id))
        for name in frozen[self._max_boxes :]:
            await self._engine.remove(name)
        await fleet.network.cut_off()
        await remove_old_trials(self._engine)
        free = max(0, self._max_boxes - len({box_id.job_id for box_id in boxes}))
        await self._spares(fleet).tend(min(self._spare_boxes, free))

    async def examine(self) -> Diagnosis:
        return await examine(self._engine, self._recipe, self._patience)

    async def stop_all(self) -> None:
        """End every box of this instance, even if a worker is attached, and keep the files."""
        fleet = await self._ours()
        found = await self._engine.containers(fleet.labels)
        await asyncio.gather(*(self._engine.remove(name) for name in found))
        await self._spares(fleet).end()
        await fleet.network.remove()

    async def close(self) -> None:
        await super().close()
        if self._deaths is not None:
            await self._deaths.close()
        await self._engine.close()

    async def _ours(self) -> Fleet:
        if self._fleet is None:
            self._fleet = Fleet(self._engine, await self._ask_instance(), self._recipe)
            self._deaths = Deathwatch(self._fleet)
        return self._fleet

    async def _box(self, box_id: BoxId) -> DockerBox:
        return DockerBox(await self._ours(), box_id, self._claim, self._watch)

    def _watch(self, box: DockerBox, channel: Channel) -> None:
        assert self._deaths is not None, "`_ours` makes both the fleet and its deathwatch"
        self._deaths.watch(box, channel)

    def _spares(self, fleet: Fleet) -> Pool:
        if self._pool is None:
            self._pool = Pool(fleet)
        return self._pool

    async def _claim(self, box: DockerBox) -> str | None:
        """A spare box for one that has no files yet; None if there is none."""
        if not self._spare_boxes or await box.exists():
            return None
        return await self._spares(await self._ours()).claim(box.id)

    async def _remove(self, box_id: BoxId) -> None:
        box = await self._box(box_id)
        if self._deaths is not None:
            self._deaths.forget(box)
        await box.remove()

    async def _running(self) -> Sequence[BoxId]:
        """Spare boxes are among them, each as if it were a job of its own."""
        fleet = await self._ours()
        found = await self._engine.containers(fleet.labels)
        names = [name for name, each in found.items() if each.state == "running"]
        return [fleet.box_named(name) or BoxId(id_in(name)) for name in names]

    async def _make_way(self, job_id: UUID) -> None:
        """Stop the boxes of this job, or remove the spare box of this id. Raises WorkspaceBusy."""
        fleet = await self._ours()
        spare = f"{fleet.pool}{job_id}"
        if await self._engine.inspect(spare) is None:
            await super()._make_way(job_id)
        elif not await self._spares(fleet).discard(spare):
            raise WorkspaceBusy("a job has just adopted it")
