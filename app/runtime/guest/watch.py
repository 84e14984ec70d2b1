"""Measures what the box uses and enforces its limits on memory, processes and disk.

Without cgroups the kernel does not limit the memory of all processes together. So twice a second the guest
adds up their resident memory, and ends the largest command if that is too much.
"""

import asyncio
import contextlib
import errno
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .process import Command, descendants

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
EVERY_S = 0.5
DISK_EVERY_S = 5.0
SLICE = 500
"""Files that are counted before other tasks get a turn."""


@dataclass(frozen=True)
class Quota:
    memory_bytes: int
    disk_bytes: int
    processes: int


@dataclass(frozen=True)
class _Process:
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
    """How many processes of this cgroup the kernel has killed because memory ran out; 0 if that is
    unknown."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        with contextlib.suppress(OSError), open(path) as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def bounds_processes() -> bool:
    """Whether a cgroup limits the number of processes in this box. It does in containers, except for engines
    without cgroups, such as some rootless ones; it does not in local boxes."""
    for path in ("/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"):
        with contextlib.suppress(OSError), open(path) as file:
            return file.read(1).isdigit()  # else "max"
    return False


async def folder_bytes(root: str) -> float:
    """The bytes on disk of all files below `root`. Each hard link counts. Folders without permission are made
    readable. Infinity if a path is too long to be opened: any amount could be hidden below it."""
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
    """The watch of one box. `memory_bytes` and `cpu_percent` are those of the last `look`; `cpu_percent` is
    None before the second one."""

    def __init__(
        self,
        folders: Iterable[str],
        quota: Quota,
        commands: Callable[[], Iterable[Command]],
        filling: Callable[[], Iterable[Command]],
    ) -> None:
        """`commands` gives all that run, `filling` those that are ended when the disk is full."""
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
        # A supervisor was forked from the guest and shares its pages.
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
