"""A third kind of box, the smallest that follows the rules of `keeping.Boxes`: a guest that sees this
machine's files. Processes, /tmp and /dev are its own, so that what a guest ends and empties is never ours.

It shows what a new kind takes, and that the tests of the common interface hold for it.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from app.domain.workspace import NetworkMode
from app.runtime.boxes import Box, Seen
from app.runtime.channel import Channel
from app.runtime.guest.box import Config
from app.runtime.guest.ends import Sink, Source
from app.runtime.keeping import Boxes
from app.runtime.leave import Connect
from app.runtime.local.bubblewrap import find_bwrap
from app.runtime.packing import VARIABLE, guest_boot, guest_source
from app.runtime.runtime import Diagnosis
from app.runtime.workspace import BoxDied, FenceLost
from app.runtime.worlds import BoxId, World

OWN = ("--ro-bind", "/", "/", "--dev", "/dev", "--tmpfs", "/tmp", "--proc", "/proc")
INSIDE = "/mnt"
ENDS_WITH_US = ("--unshare-pid", "--as-pid-1", "--die-with-parent")


@dataclass
class Guest:
    """What this process knows of a box. Only this process has it."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, bwrap: Path) -> None:
        if self.runs:
            return
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)
        (self.folder / "scratch").mkdir()
        (self.folder / "sock").unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.folder / "sock"))
            listener.listen()
            root, scratch = f"{INSIDE}/app", f"{INSIDE}/scratch"
            config = Config(listener.fileno(), 60, 2**31, 2**31, 512, root=root, scratch=scratch)
            guest = ("--bind", self.folder, INSIDE, sys.executable, "-I", "-S", "-c", guest_boot())
            self.process = subprocess.Popen(
                [bwrap, *OWN, *ENDS_WITH_US, *guest],
                env={**os.environ, VARIABLE: guest_source(), "BOARDROOM_BOX": json.dumps(vars(config))},
                pass_fds=[listener.fileno()],
            )

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@dataclass
class PlainBox:
    """See `boxes.Box`."""

    id: BoxId
    guest: Guest
    bwrap: Path
    fences: dict[UUID, int]
    connect: Connect | None = None

    async def look(self) -> Seen:
        if not await self.exists():
            return Seen("none")
        return Seen("running" if self.guest.runs else "asleep")

    async def adopt(self) -> None: ...

    async def create(self) -> None:
        await asyncio.to_thread((self.guest.folder / "app").mkdir, parents=True, exist_ok=True)

    async def exists(self) -> bool:
        return await asyncio.to_thread((self.guest.folder / "app").is_dir)

    async def note_fence(self, fence: int) -> None:
        if fence < self.fences.get(self.id.job_id, 0):
            raise FenceLost("a newer worker has taken this workspace over")
        self.fences[self.id.job_id] = fence

    async def wake(self, for_worker: bool) -> None:
        await asyncio.to_thread(self.guest.start, self.bwrap)

    async def open(self) -> tuple[Source, Sink]:
        try:
            return await asyncio.open_unix_connection(self.guest.folder / "sock")
        except OSError as error:
            raise BoxDied(str(error)) from error

    async def leave(self) -> None: ...

    def watch(self, channel: Channel) -> None: ...

    async def ended(self) -> None: ...

    async def kill(self) -> None:
        await asyncio.to_thread(self.guest.end)

    async def last_words(self) -> str:
        return ""


@dataclass
class PlainRuntime(Boxes):
    """See `runtime.Runtime`."""

    folder: Path
    _guests: dict[BoxId, Guest] = field(default_factory=dict)
    _fences: dict[UUID, int] = field(default_factory=dict)
    kind: str = "plain"
    network: NetworkMode = "none"
    shared: bool = False

    def __post_init__(self) -> None:
        super().__init__(20, None)
        self._bwrap = find_bwrap()

    async def discard(self, job_id: UUID, world: World, slot: int = 0) -> None:
        if world is World.APP:
            raise ValueError("the app's box goes with its job")
        await self._remove(BoxId(job_id, world, slot))

    async def destroy(self, job_id: UUID) -> None:
        for box_id in [each for each in self._guests if each.job_id == job_id]:
            await self._remove(box_id)

    async def worlds(self) -> frozenset[BoxId]:
        return frozenset([box_id for box_id in self._guests if await (await self._box(box_id)).exists()])

    async def rest(self) -> None: ...

    async def examine(self) -> Diagnosis:
        return Diagnosis(self.kind, self._bwrap is not None, "bubblewrap is or is not here")

    async def stop_all(self) -> None:
        for guest in self._guests.values():
            await asyncio.to_thread(guest.end)

    async def _box(self, box_id: BoxId) -> Box:
        assert self._bwrap is not None
        place = self.folder / f"{box_id.job_id}-{box_id.number}"
        guest = self._guests.setdefault(box_id, Guest(place))
        return PlainBox(box_id, guest, self._bwrap, self._fences)

    async def _running(self) -> Sequence[BoxId]:
        return [box_id for box_id, guest in self._guests.items() if guest.runs]

    async def _remove(self, box_id: BoxId) -> None:
        guest = self._guests.pop(box_id, None)
        if guest is not None:
            await asyncio.to_thread(guest.end)
            await asyncio.to_thread(shutil.rmtree, guest.folder, ignore_errors=True)
