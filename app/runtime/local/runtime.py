"""The local runtime: boxes made with bubblewrap on this machine, as root or as an ordinary user.

Any process of the service may start a box and attach to it; none owns it. A box ends by itself when it was
idle for `idle_s` seconds. The next attachment starts it again with the same files.
"""

import asyncio
import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import UUID

from app.domain.workspace import NetworkMode
from app.runtime.attachment import Attachment
from app.runtime.channel import Channel, Patience, attach
from app.runtime.local import diagnosis
from app.runtime.local.boxes import BoxLimits, LocalBox
from app.runtime.local.bubblewrap import Tools
from app.runtime.places import Places
from app.runtime.workspace import (
    BoxDied,
    BoxStatus,
    Diagnosis,
    RuntimeProblem,
    SandboxUnavailable,
    Workspace,
    WorkspaceMissing,
)

ATTEMPTS = 3
STOP_S = 15.0

P = ParamSpec("P")
C = TypeVar("C", bound=socket.socket | None)


class LocalRuntime:
    """See `workspace.Runtime`. `folder` contains one folder per job and nothing else."""

    kind = "local"
    network: NetworkMode = "none"

    def __init__(
        self,
        folder: Path,
        *,
        idle_s: float = 900,
        max_boxes: int = 20,
        limits: BoxLimits | None = None,
        patience: Patience | None = None,
        bwrap: str = "",
        python: Path | None = None,
    ) -> None:
        """`python` is the interpreter in boxes, by default the one that our virtual environment was made
        from."""
        self._folder = folder.absolute()
        self._places = Places(max_boxes, self._awake, self._longest_idle, self.stop)
        self._limits = limits or BoxLimits(idle_s=idle_s)
        self._patience = patience or Patience()
        self._search = diagnosis.Search(bwrap, python)
        self._tools: Tools | None = None
        self._attachments: set[Attachment] = set()
        self._chores: set[asyncio.Task[None]] = set()

    async def attach(self, job_id: UUID, *, fence: int | None = None, create: bool = False) -> Workspace:
        box = LocalBox(self._folder, job_id)
        await asyncio.to_thread(self._prepare, box, fence, create)
        problem: RuntimeProblem = SandboxUnavailable("the box did not start")
        for _ in range(ATTEMPTS):
            try:
                channel = await self._greet(box, fence)
            except BoxDied as error:
                # The guest was about to end, or did not start.
                log = await asyncio.to_thread(box.log_tail)
                problem = SandboxUnavailable(f"{error}: {log}" if log else str(error))
                continue
            attachment = Attachment(channel, None, box.note_use, self._attachments.discard)
            self._attachments.add(attachment)
            return attachment
        raise problem

    async def status(self, job_id: UUID) -> BoxStatus:
        box = LocalBox(self._folder, job_id)
        if not await asyncio.to_thread(lambda: box.exists):
            return BoxStatus("none")
        with contextlib.suppress(BoxDied):
            channel = await self._visit(box, "peek")
            if channel is not None:
                attachment = Attachment(channel, None, box.note_use, lambda _: None)
                try:
                    return await attachment.status()
                finally:
                    await attachment.close()
        return BoxStatus("asleep")

    async def stop(self, job_id: UUID) -> None:
        box = LocalBox(self._folder, job_id)
        try:
            channel = await self._visit(box, "stop")
            if channel is None:
                return
            async with asyncio.timeout(STOP_S):
                await channel.closed()
        except (BoxDied, TimeoutError):
            pass
        # Wait for the end of its process, or end it if the guest could not.
        await asyncio.to_thread(box.kill)

    async def destroy(self, job_id: UUID) -> None:
        await asyncio.to_thread(LocalBox(self._folder, job_id).remove)

    async def boxes(self) -> frozenset[UUID]:
        return frozenset(box.job_id for box in await asyncio.to_thread(self._boxes))

    async def rest(self) -> None:
        """Nothing: local boxes end by themselves."""

    async def examine(self) -> Diagnosis:
        found = await asyncio.to_thread(diagnosis.find_tools, self._search)
        if isinstance(found, Diagnosis):
            return found
        job_id = uuid.uuid4()
        began = time.monotonic()
        try:
            workspace = await self.attach(job_id, create=True)
            took = round((time.monotonic() - began) * 1000)
            said = await workspace.run("python3 --version && git --version", timeout_s=20)
            await workspace.close()
        except RuntimeProblem as problem:
            return diagnosis.explain(found, str(problem))
        finally:
            await self.destroy(job_id)
        if said.exit_code != 0:
            return diagnosis.explain(found, said.output)
        inside = ", ".join(said.output.split("\n")).strip(", ")
        return Diagnosis(self.kind, True, f"{found.bwrap} made a box in {took} ms ({inside})")

    async def stop_all(self) -> None:
        """End every box, even if a worker is attached."""
        await asyncio.to_thread(self._kill_all)

    async def close(self) -> None:
        for attachment in list(self._attachments):
            await attachment.close()
        await asyncio.gather(*self._chores)

    def _prepare(self, box: LocalBox, fence: int | None, create: bool) -> None:
        if self._tools is None:
            found = diagnosis.find_tools(self._search)
            if isinstance(found, Diagnosis):
                raise SandboxUnavailable(f"{found.detail} {found.remedy}".strip())
            self._tools = found
        if not box.exists:
            if not create:
                raise WorkspaceMissing("this job has no workspace yet")
            box.create()
        if fence is not None:
            box.note_fence(fence)
            box.note_use()

    async def _greet(self, box: LocalBox, fence: int | None) -> Channel:
        """Connect to the guest, starting its box if there is none."""
        assert self._tools is not None
        connection = await _brought(box.connect)
        if connection is None:
            async with self._places.taken(box.job_id):
                connection = await _brought(box.start, self._tools, self._limits)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        return await attach(
            reader, writer, fence=fence, patience=self._patience, on_broken=lambda: self._give_up(box)
        )

    async def _visit(self, box: LocalBox, call: str) -> Channel | None:
        """Attach to a box that runs; None if it does not."""
        connection = await _brought(box.connect)
        if connection is None:
            return None
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        return await attach(
            reader,
            writer,
            fence=None,
            call=call,
            patience=self._patience,
            on_broken=lambda: self._give_up(box),
        )

    async def _awake(self) -> list[UUID]:
        return await asyncio.to_thread(lambda: [box.job_id for box in self._boxes() if _running(box)])

    async def _longest_idle(self, job_ids: Sequence[UUID]) -> list[UUID]:
        """The boxes by their last use. One with an attached worker is among them, but refuses to stop."""
        return await asyncio.to_thread(
            lambda: sorted(job_ids, key=lambda job_id: LocalBox(self._folder, job_id).used)
        )

    def _boxes(self) -> list[LocalBox]:
        boxes = []
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                with contextlib.suppress(ValueError):
                    boxes.append(LocalBox(self._folder, UUID(name)))
        return boxes

    def _kill_all(self) -> None:
        for box in self._boxes():
            box.kill()

    def _give_up(self, box: LocalBox) -> None:
        """Kill a box whose guest broke the protocol: nothing that it says can be trusted any more."""
        chore = asyncio.create_task(asyncio.to_thread(box.kill))
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)


async def _brought(bring: Callable[P, C], *args: P.args, **kwargs: P.kwargs) -> C:
    """The connection that `bring` makes in a thread. If this task is cancelled the thread goes on, and its
    connection is closed."""
    bringing = asyncio.ensure_future(asyncio.to_thread(bring, *args, **kwargs))
    try:
        return await asyncio.shield(bringing)
    except asyncio.CancelledError:
        bringing.add_done_callback(_close_result)
        raise


def _close_result(bringing: "asyncio.Future[C]") -> None:
    if bringing.exception() is None and (connection := bringing.result()) is not None:
        connection.close()


def _running(box: LocalBox) -> bool:
    """Whether the box's guest accepts connections. Raises SandboxUnavailable."""
    connection = box.connect()
    if connection is None:
        return False
    connection.close()
    return True
