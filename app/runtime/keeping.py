"""The rules that hold for every kind of box: who may wake one, how a process attaches to it, and what becomes
of a box that cannot be trusted any more.

Attaching may take a tenth of a second (see `docker.relay`). So each process keeps one channel without a fence
to each box for all its calls. Such a channel does not keep the box awake; calls do. Workers have their own.
"""

import asyncio
import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from uuid import UUID

from app.runtime import answers
from app.runtime.attachment import Attachment
from app.runtime.attachments import SharedAttachment, TrialAttachment, WorkerAttachment
from app.runtime.boxes import Box, Seen
from app.runtime.channel import Channel, Patience, attach
from app.runtime.places import Places
from app.runtime.workspace import (
    BoxDied,
    BoxStatus,
    RuntimeProblem,
    SandboxUnavailable,
    Workspace,
    WorkspaceBusy,
    WorkspaceMissing,
)
from app.runtime.worlds import BoxId, World

ATTEMPTS = 3
STOP_S = 15.0


class Boxes(ABC):
    """What all kinds of `runtime.Runtime` share. `image` is the image of the boxes, if they have one."""

    image: str | None = None

    def __init__(self, max_jobs: int, patience: Patience | None) -> None:
        """At most `max_jobs` jobs may have boxes that are awake."""
        self._places = Places(max_jobs, self._awake_jobs, self._longest_idle, self._make_way)
        self._patience = patience or Patience()
        self._shared: dict[BoxId, Channel] = {}
        self._sharing: dict[BoxId, asyncio.Lock] = {}
        self._attachments: set[Attachment] = set()
        self._chores: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def _box(self, box_id: BoxId) -> Box:
        """The box of this id, whether it exists or not."""

    @abstractmethod
    async def _running(self) -> Sequence[BoxId]:
        """All boxes that run."""

    @abstractmethod
    async def worlds(self) -> frozenset[BoxId]: ...

    async def attach(
        self,
        job_id: UUID,
        *,
        world: World = World.APP,
        slot: int = 0,
        fence: int | None = None,
        create: bool = False,
    ) -> Workspace:
        box = await self._box(BoxId(job_id, world, slot))
        try:
            if fence is None:
                channel = await self._open_one(box) or await self._share(box, partial(self._get, create))
                return self._keep(SharedAttachment, box, channel)
            kind = TrialAttachment if world is World.TRIAL else WorkerAttachment
            return self._keep(kind, box, await self._get(create, box, fence))
        finally:
            await box.leave()

    async def visit(self, job_id: UUID) -> Workspace:
        box = await self._box(BoxId(job_id))
        try:
            seen = await box.look()
            if not await box.exists():
                raise WorkspaceMissing("this job has no workspace yet")
            async with self._places.taken(job_id, make_room=False):
                return self._keep(WorkerAttachment, box, await self._wake(box, seen, None, "visit"))
        finally:
            await box.leave()

    async def awake(self) -> frozenset[UUID]:
        return frozenset(box_id.job_id for box_id in await self._running() if box_id.world is World.APP)

    async def status(self, job_id: UUID, world: World = World.APP, slot: int = 0) -> BoxStatus:
        box = await self._box(BoxId(job_id, world, slot))
        seen = await box.look()
        if seen.state == "running":
            with contextlib.suppress(BoxDied):
                channel = await self._share(box, self._peek)
                usage, _ = await channel.ask(answers.Usage, "status")
                return BoxStatus(
                    "running",
                    self.image,
                    seen.began or answers.moment(usage.began),
                    usage.memory_bytes,
                    usage.cpu_percent,
                    answers.moment_or_none(usage.answers_since),
                )
            seen = await box.look()
        return BoxStatus("none" if seen.state == "none" else "asleep", self.image, problem=seen.problem)

    async def stop(self, job_id: UUID, world: World = World.APP, slot: int = 0) -> None:
        await self._stop(BoxId(job_id, world, slot))

    async def boxes(self) -> frozenset[UUID]:
        return frozenset(box_id.job_id for box_id in await self.worlds())

    async def close(self) -> None:
        for attachment in list(self._attachments):
            await attachment.close()
        for channel in self._shared.values():
            await channel.close()
        self._shared.clear()
        await asyncio.gather(*self._chores)

    async def _stop(self, box_id: BoxId) -> None:
        box = await self._box(box_id)
        if (await box.look()).state not in ("running", "frozen"):
            return
        with contextlib.suppress(BoxDied, TimeoutError):
            channel = await self._greet(box, None, "stop")
            async with asyncio.timeout(STOP_S):
                await channel.closed()
                await box.ended()
        # If the guest could not end by itself.
        await box.kill()

    async def _get(self, create: bool, box: Box, fence: int | None = None) -> Channel:
        """A channel of its own to the box, which is made or woken if necessary."""
        if create:
            await box.adopt()
        seen = await box.look()
        async with contextlib.AsyncExitStack() as stack:
            if seen.state != "running":
                await stack.enter_async_context(self._places.taken(box.id.job_id))
            if create:
                await box.create()
            elif not await box.exists():
                raise WorkspaceMissing("this job has no workspace yet")
            if fence is not None:
                await box.note_fence(fence)
            return await self._wake(box, seen, fence)

    async def _wake(self, box: Box, seen: Seen, fence: int | None, call: str = "") -> Channel:
        """A channel to the guest; its box is started or thawed if necessary. `call` is that of the
        greeting."""
        problem: RuntimeProblem = SandboxUnavailable("the box did not start")
        for attempt in range(ATTEMPTS):
            if attempt:
                seen = await box.look()
            if seen.state == "running" and seen.outdated:
                with contextlib.suppress(WorkspaceBusy):
                    await self._stop(box.id)
            await box.wake(for_worker=fence is not None)
            try:
                return await self._greet(box, fence, call)
            except BoxDied as error:
                # The guest was about to end, or did not start.
                said = await box.last_words()
                problem = SandboxUnavailable(f"{error}: {said}" if said else str(error))
        raise problem

    async def _greet(self, box: Box, fence: int | None, call: str = "") -> Channel:
        reader, writer = await box.open()
        channel = await attach(
            reader,
            writer,
            fence=fence,
            call=call,
            patience=self._patience,
            on_broken=lambda: self._give_up(box),
        )
        box.watch(channel)
        return channel

    async def _open_one(self, box: Box) -> Channel | None:
        """The channel that this process has to the box, or None. A frozen box is thawed."""
        channel = self._known(box.id)
        if channel is None:
            return None
        seen = await box.look()
        if seen.state not in ("running", "frozen"):
            # The box has ended, only the channel does not know yet.
            self._shared.pop(box.id, None)
            await channel.close()
            return None
        if seen.state == "frozen":
            async with self._places.taken(box.id.job_id):
                await box.wake(for_worker=False)
        return channel

    def _known(self, box_id: BoxId) -> Channel | None:
        channel = self._shared.get(box_id)
        if channel is not None and not channel.open:
            del self._shared[box_id]
            return None
        return channel

    async def _share(self, box: Box, get: Callable[[Box], Awaitable[Channel]]) -> Channel:
        """This process's channel without a fence. If there is none, one caller opens it with `get` and all
        others wait for it."""
        lock = self._sharing.setdefault(box.id, asyncio.Lock())
        try:
            async with lock:
                channel = self._known(box.id)
                if channel is None:
                    channel = self._shared[box.id] = await get(box)
                return channel
        finally:
            if not lock.locked():
                self._sharing.pop(box.id, None)

    async def _peek(self, box: Box) -> Channel:
        """A channel to a running box, to ask for its status. It does not keep the box awake. Raises
        BoxDied."""
        return await self._greet(box, None, "peek")

    def _keep(self, kind: type[Attachment], box: Box, channel: Channel) -> Attachment:
        attachment = kind(channel, self.image, self._attachments.discard, box.connect)
        self._attachments.add(attachment)
        return attachment

    async def _awake_jobs(self) -> Sequence[UUID]:
        return list({box_id.job_id for box_id in await self._running()})

    async def _longest_idle(self, jobs: Sequence[UUID]) -> list[UUID]:
        """The jobs without a worker in any of their boxes, the longest idle first. Silent boxes count as idle
        for ever."""
        boxes = [box_id for box_id in await self._running() if box_id.job_id in jobs]
        uses = await asyncio.gather(*(self._use(box_id) for box_id in boxes))
        busy = {box_id.job_id for box_id, (is_busy, _) in zip(boxes, uses, strict=True) if is_busy}
        idle = dict.fromkeys(jobs, math.inf)
        for box_id, (_, idle_s) in zip(boxes, uses, strict=True):
            idle[box_id.job_id] = min(idle[box_id.job_id], idle_s)
        return sorted(set(jobs) - busy, key=lambda job_id: idle[job_id], reverse=True)

    async def _make_way(self, job_id: UUID) -> None:
        """Stop all boxes of a job. Raises WorkspaceBusy."""
        for box_id in await self._running():
            if box_id.job_id == job_id:
                await self._stop(box_id)

    async def _use(self, box_id: BoxId) -> tuple[bool, float]:
        """Whether a worker is attached to the box, and for how many seconds it has been idle."""
        try:
            channel = await self._share(await self._box(box_id), self._peek)
            usage, _ = await channel.ask(answers.Usage, "status")
        except RuntimeProblem:
            return False, math.inf
        return usage.busy, usage.idle_s

    def _give_up(self, box: Box) -> None:
        """Kill a box whose guest broke the protocol: nothing that it says can be trusted any more."""
        chore = asyncio.create_task(self._kill(box))
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    async def _kill(self, box: Box) -> None:
        with contextlib.suppress(SandboxUnavailable):
            # A guest that was frozen during a call could not answer, which is no fault of its own.
            if (await box.look()).state != "frozen":
                await box.kill()
