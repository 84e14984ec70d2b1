"""What the box uses, and the ends of it where the kernel sets none: memory, processes, disk.

Without cgroups nothing bounds the sum of a box's memory, so the guest adds up what is resident twice a second
and ends the largest command when that is too much.
"""

import asyncio
import contextlib
import errno
import math
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from .process import Command, descendants
from .record import Record

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
EVERY_S = 0.5
DISK_EVERY_S = 5.0
SLICE = 500
"""Entries looked at before other tasks get a turn."""


class Quota(Record):
    memory_bytes: int
    disk_bytes: int
    processes: int


class _Process(Record):
    parent: int
    resident: int
    cpu_s: float


def _processes() -> dict[int, _Process]:
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
                cpu = (int(fields[11]) + int(fields[12])) / TICKS
                found[int(name)] = _Process(int(fields[1]), int(fields[21]) * PAGE, cpu)
    return found


def memory_kills() -> int:
    """How often the kernel has killed in our cgroup because its memory ran out; 0 where that is not told."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with contextlib.suppress(OSError), open(path) as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def bounds_processes() -> bool:
    """Whether our cgroup does. That of a local box does not, nor that of an engine which has none to give (a
    rootless one, say)."""
    for path in ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"):
        with contextlib.suppress(OSError), open(path) as file:
            return file.read(1).isdigit()  # else "max"
    return False


async def folder_bytes(root: str) -> float:
    """What the files below `root` occupy, counted in slices; hard links count each time. A closed folder is
    opened for it. Without end where something is deeper than a path may be long: it could be anything."""
    total = looked = 0
    waiting = [root]
    while waiting:
        try:
            with _opened(waiting.pop()) as entries:
                for entry in entries:
                    try:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
                    except FileNotFoundError:
                        pass
                    looked += 1
                    if looked % SLICE == 0:
                        await asyncio.sleep(0)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return math.inf
    return total


def _opened(folder: str) -> Any:
    if not os.access(folder, os.R_OK | os.X_OK):
        os.chmod(folder, 0o700)
    return os.scandir(folder)


class Watch:
    """`memory_bytes` and `cpu_percent` are of the last look; `cpu_percent` is None before the second."""

    def __init__(
        self,
        folders: Iterable[str],
        quota: Quota,
        commands: Callable[[], Iterable[Command]],
        filling: Callable[[], Iterable[Command]],
    ) -> None:
        """`filling` are those of the commands that a full disk ends."""
        self._folders = tuple(folders)
        self._quota = quota
        self._commands = commands
        self._filling = filling
        self._cpu: tuple[float, float] | None = None
        self.memory_bytes = 0
        self.cpu_percent: float | None = None

    async def run(self) -> None:
        looked = 0.0
        while True:
            self.look()
            if any(self._filling()) and time.monotonic() - looked > DISK_EVERY_S:
                if sum([await folder_bytes(folder) for folder in self._folders]) > self._quota.disk_bytes:
                    for command in list(self._filling()):
                        command.end("disk")
                looked = time.monotonic()
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        processes = _processes()
        now = time.monotonic()
        cpu = sum(process.cpu_s for process in processes.values())
        if self._cpu is not None and now > self._cpu[0]:
            self.cpu_percent = round(max(0.0, cpu - self._cpu[1]) / (now - self._cpu[0]) * 100, 1)
        self._cpu = (now, cpu)
        # A supervisor shares its pages with the guest it was forked from.
        supervisors = {command.pid for command in self._commands()}
        self.memory_bytes = sum(
            process.resident for pid, process in processes.items() if pid not in supervisors
        )
        if self.memory_bytes > self._quota.memory_bytes:
            self._end_largest(processes, "memory")
        elif len(processes) > self._quota.processes:
            self._end_largest(processes, "processes")

    def _end_largest(self, processes: dict[int, _Process], limit: str) -> None:
        tree = {pid: process.parent for pid, process in processes.items()}

        def weight(command: Command) -> int:
            below = descendants(command.pid, tree)
            return len(below) if limit == "processes" else sum(processes[pid].resident for pid in below)

        largest = max(self._commands(), key=weight, default=None)
        if largest is not None:
            largest.end(limit)
