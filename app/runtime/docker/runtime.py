"""The Docker runtime: one container per job.

Starting a relay takes a tenth of a second (see `relay`). So each process keeps one channel without a fence to
each box for all its calls. Such a channel does not keep the box awake; calls do. Workers have their own.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import UUID

from app.domain.workspace import NetworkMode
from app.runtime import answers
from app.runtime.attachment import Attachment
from app.runtime.channel import Channel, Patience, attach
from app.runtime.docker.attachments import SharedAttachment, WorkerAttachment
from app.runtime.docker.boxes import JOB, DockerBox, Fleet, id_in
from app.runtime.docker.deaths import Deathwatch
from app.runtime.docker.engine import Engine, EngineRefused
from app.runtime.docker.hardening import Recipe
from app.runtime.docker.pool import Pool
from app.runtime.docker.trial import examine, remove_old_trials
from app.runtime.places import Places
from app.runtime.workspace import (
    BoxDied,
    BoxStatus,
    Diagnosis,
    RuntimeProblem,
    SandboxUnavailable,
    Workspace,
    WorkspaceBusy,
    WorkspaceMissing,
)

ATTEMPTS = 3
STOP_S = 15.0


class DockerRuntime:
    """See `workspace.Runtime`. `instance` returns the name of this service, which tells its boxes from those
    of other services on the same engine. Boxes of other services are never touched. `rest_s` is the idle time
    in seconds after which a box is frozen."""

    kind = "docker"

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
        self._engine = Engine(host)
        self._ask_instance = instance
        self._recipe = recipe
        self._max_boxes = max_boxes
        self._spare_boxes = spare_boxes
        self._places = Places(max_boxes, self._running, self._longest_idle, self._make_way)
        self._rest_s = rest_s
        self._patience = patience or Patience()
        self._fleet: Fleet | None = None
        self._pool: Pool | None = None
        self._deaths: Deathwatch | None = None
        self._shared: dict[UUID, Channel] = {}
        self._sharing: dict[UUID, asyncio.Lock] = {}
        self._attachments: set[Attachment] = set()
        self._chores: set[asyncio.Task[None]] = set()

    @property
    def network(self) -> NetworkMode:
        return self._recipe.network

    async def attach(self, job_id: UUID, *, fence: int | None = None, create: bool = False) -> Workspace:
        box = DockerBox(await self._ours(), job_id)
        try:
            if fence is None:
                channel = await self._awake(box) or await self._share(box, partial(self._get, create))
                return self._keep(SharedAttachment, box, channel)
            await self._adopt(box, create)
            async with self._places.taken(job_id):
                await self._prepare(box, create)
                await box.note_fence(fence)
                return self._keep(WorkerAttachment, box, await self._wake(box, fence))
        finally:
            await box.leave()

    async def status(self, job_id: UUID) -> BoxStatus:
        box = DockerBox(await self._ours(), job_id)
        container = await box.inspect()
        if container is None:
            return BoxStatus("asleep" if await box.exists() else "none", self._recipe.image)
        if container.state == "running":
            with contextlib.suppress(BoxDied):
                channel = await self._share(box, self._look)
                usage, _ = await channel.ask(answers.Usage, "status")
                return BoxStatus(
                    "running",
                    self._recipe.image,
                    container.began,
                    usage.memory_bytes,
                    usage.cpu_percent,
                    answers.moment_or_none(usage.answers_since),
                )
            container = await box.inspect() or container
        return BoxStatus("asleep", self._recipe.image, problem=container.failure)

    async def stop(self, job_id: UUID) -> None:
        box = DockerBox(await self._ours(), job_id)
        container = await box.inspect()
        if container is None or container.state not in ("running", "paused"):
            return
        with contextlib.suppress(BoxDied, TimeoutError):
            channel = await self._greet(box, None, "stop")
            async with asyncio.timeout(STOP_S):
                await channel.closed()
                await box.ended()
        # If the guest could not end by itself.
        await box.kill()

    async def destroy(self, job_id: UUID) -> None:
        box = DockerBox(await self._ours(), job_id)
        if self._deaths is not None:
            self._deaths.forget(box)
        await box.remove()

    async def has_image(self) -> bool:
        """Whether the engine answers and has the image of the boxes."""
        try:
            return await self._engine.has_image(self._recipe.image)
        except SandboxUnavailable:
            return False

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
        running = [fleet.job_of(name) for name, each in found.items() if each.state == "running"]
        jobs = [job_id for job_id in running if job_id is not None]
        uses = await asyncio.gather(*(self._use(job_id) for job_id in jobs))
        for job_id, (busy, idle_s) in zip(jobs, uses, strict=True):
            if not busy and self._rest_s <= idle_s < math.inf:
                # An engine without cgroups cannot freeze. The guest then ends the idle box itself, a little
                # later.
                with contextlib.suppress(EngineRefused):
                    await self._engine.pause(DockerBox(fleet, job_id).name)
        for name in frozen[self._max_boxes :]:
            await self._engine.remove(name)
        await fleet.network.cut_off()
        await remove_old_trials(self._engine)
        free = max(0, self._max_boxes - len(jobs))
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
        for attachment in list(self._attachments):
            await attachment.close()
        for channel in self._shared.values():
            await channel.close()
        self._shared.clear()
        await asyncio.gather(*self._chores)
        if self._deaths is not None:
            await self._deaths.close()
        await self._engine.close()

    async def _ours(self) -> Fleet:
        if self._fleet is None:
            self._fleet = Fleet(self._engine, await self._ask_instance(), self._recipe)
            self._deaths = Deathwatch(self._fleet)
        return self._fleet

    def _spares(self, fleet: Fleet) -> Pool:
        if self._pool is None:
            self._pool = Pool(fleet)
        return self._pool

    async def _adopt(self, box: DockerBox, create: bool) -> None:
        """Give a job without a box a spare one, if there is one. That does not change how many are awake."""
        if self._spare_boxes and create and not await box.exists():
            spare = await self._spares(await self._ours()).claim(box.job_id)
            if spare is not None:
                await box.adopt(spare)

    async def _prepare(self, box: DockerBox, create: bool) -> None:
        if create:
            await box.create()
        elif not await box.exists():
            raise WorkspaceMissing("this job has no workspace yet")

    async def _wake(self, box: DockerBox, fence: int | None) -> Channel:
        """A channel to the guest; its box is made or woken if necessary."""
        problem: RuntimeProblem = SandboxUnavailable("the box did not start")
        for _ in range(ATTEMPTS):
            container = await box.inspect()
            if container is not None and container.state == "running" and box.is_outdated(container):
                with contextlib.suppress(WorkspaceBusy):
                    await self.stop(box.job_id)
                container = await box.inspect()
            container = await box.awake(container)
            if fence is not None:
                await box.settle(container)
            try:
                return await self._greet(box, fence)
            except BoxDied as error:
                # The guest was about to end, or did not start.
                problem = SandboxUnavailable(f"{error}: {box.stderr_tail}" if box.stderr_tail else str(error))
        raise problem

    async def _greet(self, box: DockerBox, fence: int | None, call: str = "") -> Channel:
        try:
            reader, writer = await box.open()
        except EngineRefused as refusal:
            raise BoxDied(str(refusal)) from refusal  # it ended after it was seen running
        channel = await attach(
            reader,
            writer,
            fence=fence,
            call=call,
            patience=self._patience,
            on_broken=lambda: self._give_up(box),
        )
        assert self._deaths is not None, "`_ours` makes both the fleet and its deathwatch"
        self._deaths.watch(box, channel)
        return channel

    async def _awake(self, box: DockerBox) -> Channel | None:
        """The channel that this process has to the box, or None. A frozen box is woken."""
        channel = self._known(box.job_id)
        if channel is None:
            return None
        container = await box.inspect()
        if container is None or container.state not in ("running", "paused"):
            # The box has ended, only the channel does not know yet.
            self._shared.pop(box.job_id, None)
            await channel.close()
            return None
        if container.state == "paused":
            async with self._places.taken(box.job_id):
                await box.awake(container)
        return channel

    def _known(self, job_id: UUID) -> Channel | None:
        channel = self._shared.get(job_id)
        if channel is not None and not channel.open:
            del self._shared[job_id]
            return None
        return channel

    async def _share(self, box: DockerBox, get: Callable[[DockerBox], Awaitable[Channel]]) -> Channel:
        """This process's channel without a fence. If there is none, one caller opens it with `get` and all
        others wait for it."""
        lock = self._sharing.setdefault(box.job_id, asyncio.Lock())
        try:
            async with lock:
                channel = self._known(box.job_id)
                if channel is None:
                    channel = self._shared[box.job_id] = await get(box)
                return channel
        finally:
            if not lock.locked():
                self._sharing.pop(box.job_id, None)

    async def _get(self, create: bool, box: DockerBox) -> Channel:
        """A channel without a fence, for which the box is made or woken."""
        await self._adopt(box, create)
        async with self._places.taken(box.job_id):
            await self._prepare(box, create)
            return await self._wake(box, None)

    async def _look(self, box: DockerBox) -> Channel:
        """A channel to a running box, to ask for its status. It does not keep the box awake. Raises
        BoxDied."""
        return await self._greet(box, None, "peek")

    def _keep(self, kind: type[Attachment], box: DockerBox, channel: Channel) -> Attachment:
        connect = box.connected if self._recipe.network == "install" else None
        attachment = kind(channel, self._recipe.image, _nothing, self._attachments.discard, connect)
        self._attachments.add(attachment)
        return attachment

    async def _running(self) -> list[UUID]:
        """The ids of all running boxes: a job's id, or a spare box's own."""
        fleet = await self._ours()
        found = await self._engine.containers(fleet.labels)
        return [id_in(name) for name, each in found.items() if each.state == "running"]

    async def _longest_idle(self, ids: Sequence[UUID]) -> list[UUID]:
        """Boxes without a worker, the longest idle first. Spare and silent ones count as idle for ever."""
        uses = await asyncio.gather(*(self._use(each) for each in ids))
        idle = {each: idle_s for each, (busy, idle_s) in zip(ids, uses, strict=True) if not busy}
        return sorted(idle, key=lambda each: idle[each], reverse=True)

    async def _make_way(self, box: UUID) -> None:
        """Stop the box of this id, or remove it if it is a spare one. Raises WorkspaceBusy."""
        fleet = await self._ours()
        spare = f"{fleet.pool}{box}"
        if await self._engine.inspect(spare) is None:
            await self.stop(box)
        elif not await self._spares(fleet).discard(spare):
            raise WorkspaceBusy("a job has just adopted it")

    async def _use(self, job_id: UUID) -> tuple[bool, float]:
        """Whether a worker is attached to the box, and for how many seconds it has been idle."""
        try:
            channel = await self._share(DockerBox(await self._ours(), job_id), self._look)
            usage, _ = await channel.ask(answers.Usage, "status")
        except RuntimeProblem:
            return False, math.inf
        return usage.busy, usage.idle_s

    def _give_up(self, box: DockerBox) -> None:
        """Kill a box whose guest broke the protocol: nothing that it says can be trusted any more."""
        chore = asyncio.create_task(self._kill(box))
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    async def _kill(self, box: DockerBox) -> None:
        with contextlib.suppress(SandboxUnavailable):
            container = await box.inspect()
            # A guest that was frozen during a call could not answer, which is no fault of its own.
            if container is not None and container.state != "paused":
                await box.kill()


def _nothing() -> None:
    """The `on_use` of attachments: a guest in a container knows itself when it was used."""
