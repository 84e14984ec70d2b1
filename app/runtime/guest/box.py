"""The box as the guest sees it: its folders, its repository, its app and the commands that run."""

import asyncio
import os
import resource
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from . import application, caches, hiding, holding, installing, plain, process, web
from . import repository as git
from .link import LinkLost
from .output import Output
from .paths import Refused
from .watch import Quota, Watch, bounds_processes, memory_kills

GIT_OUTPUT = 1 << 20
REMOVE_S = 60.0
REMOVE = ("sh", "-c", 'chmod -R u+rwX "$@"; rm -rf "$@"', "sh")
SHARED = ("/tmp", "/dev/shm")  # noqa: S108
"""Folders that every process may write to, beside `Config.scratch`."""


@dataclass(frozen=True)
class Config:
    """The settings of the box. `listener` is the inherited descriptor of a listening Unix socket; None in a
    container, where relays of user `relay_uid` bring the attachments. If `uid` is given, the guest first
    changes to this user."""

    listener: int | None
    idle_s: float
    memory_bytes: int
    disk_bytes: int
    processes: int
    uid: int | None = None
    relay_uid: int = 0
    root: str = "/app"
    scratch: str = "/scratch"


class Box:
    """Starts commands, and keeps what all calls share. `env` is the environment of every command."""

    def __init__(self, config: Config, env: Mapping[str, str]) -> None:
        self.config = config
        self.env = env
        self.began = time.time()
        self.used = time.monotonic()
        self.was_used = False
        """Whether anybody has used this box since it was started. One that was only visited ends again."""
        self.uses = 0
        """How many calls use the box now. One that asks for its status does not, nor does a visitor's."""
        self.readings = set[asyncio.Task[None]]()
        """What may read only while nobody uses the box."""
        self.commands = set[process.Command]()
        self.ours = set[process.Command]()
        """Commands that the service itself runs, such as git and `rm`. A full disk does not end them: they
        may be what makes room."""
        self._plain = plain.is_possible()
        self.checking = set[int]()
        self.looked: dict[tuple[str, str], hiding.Installed] = {}
        """What install steps have made, by commit and install line. It is small: a few names each."""
        self.app_ran = False
        """Whether the app may have written files since they were last looked at."""
        self.cookies = web.Jar()
        """The app's, for requests to it from here."""
        self.hold = holding.Hold()
        self.still = asyncio.Lock()
        """Held while the app's data are copied: no file is saved meanwhile."""
        contained = self.config.listener is None
        # RLIMIT_NPROC counts a user's processes in all containers together, so it is used only if no cgroup
        # limits them.
        processes = resource.RLIM_INFINITY if bounds_processes() else self.config.processes
        self.limits = process.Limits(processes=processes)
        quota = Quota(self.config.memory_bytes, self.config.disk_bytes, self.config.processes)
        folders = (self.config.root, self.config.scratch) if contained else (self.config.root,)
        self.watch = Watch(folders, quota, lambda: self.commands, lambda: self.commands - self.ours)
        self.repository = git.Repository(self.config.root, self._run_git)
        self.installations = installing.Installations(self.config.scratch, self.run)
        self.app = application.Application(self._start_app, self._install_app, self._drop_compiled)

    def start(
        self,
        argv: list[str],
        sink: Callable[[bytes], None],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        deadline_s: float | None = None,
        stderr: int = -1,
        ours: bool = False,
        archive: bytes = b"",
    ) -> process.Command:
        """Start a command, by default in /app. `sink` gets its output; see `process.start`. Raises
        OSError."""
        kills = memory_kills()
        begin = plain.start if ours and self._plain else partial(process.start, archive=archive)
        command = begin(
            argv,
            cwd=cwd or self.config.root,
            env={**self.env, **(env or {})},
            limits=self.limits,
            sink=sink,
            deadline_s=deadline_s,
            stderr=stderr,
            hit=lambda: "memory" if memory_kills() > kills else "",
        )
        self.commands.add(command)
        command.over.add_done_callback(lambda _: self.commands.discard(command))
        if ours:
            self.ours.add(command)
            command.over.add_done_callback(lambda _: self.ours.discard(command))
        return command

    async def run(
        self,
        argv: list[str],
        env: Mapping[str, str],
        cwd: str,
        deadline_s: float,
        limit: int = GIT_OUTPUT,
        stderr: int = -1,
        ours: bool = False,
    ) -> tuple[int | None, bytes]:
        """Run a command to its end: (exit code, or None if a deadline or limit ended it; output). `limit` is
        in bytes."""
        output = Output(limit)
        ended = await self._end_of(
            self.start(argv, output.add, cwd=cwd, env=env, deadline_s=deadline_s, stderr=stderr, ours=ours)
        )
        return ended.exit_code, output.text

    async def _end_of(self, command: process.Command) -> process.Ended:
        try:
            return await asyncio.shield(command.over)
        finally:
            await process.ending(command)

    def use(self) -> None:
        """Somebody uses the box."""
        self.used, self.was_used = time.monotonic(), True
        for reading in self.readings:
            reading.cancel()

    async def while_unused(self, reading: Coroutine[Any, Any, None]) -> None:
        """Await `reading`, which ends as soon as somebody uses the box. Raises Refused `busy`."""
        task = asyncio.ensure_future(reading)
        self.readings.add(task)
        try:
            await task
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                raise
            raise Refused("busy") from None
        finally:
            self.readings.discard(task)

    def status(self) -> dict[str, Any]:
        self.watch.look()
        return {
            "began": self.began,
            "memory_bytes": self.watch.memory_bytes,
            "cpu_percent": self.watch.cpu_percent,
            "answers_since": self.app.answers_since,
            "idle_s": time.monotonic() - self.used,
        }

    async def _run_git(
        self, argv: list[str], env: Mapping[str, str], cwd: str, deadline_s: float
    ) -> tuple[int | None, bytes, bytes]:
        complaints, output = os.memfd_create("stderr"), Output(GIT_OUTPUT)
        try:
            ended = await self._end_of(
                self.start(
                    argv, output.add, cwd=cwd, env=env, deadline_s=deadline_s, stderr=complaints, ours=True
                )
            )
            if ended.limit:  # this is no answer of git: it was killed
                raise Refused("git", f"git reached the {ended.limit} limit of the box")
            return ended.exit_code, output.text, os.pread(complaints, GIT_OUTPUT, 0)
        finally:
            os.close(complaints)

    async def restore(self, tree: str) -> None:
        """Make the files of /app what `tree` says, without what was compiled or cached of other files, and
        remove what lies outside of it: it may have filled the box. If such a cache may be what the install
        step made, that runs again."""
        if not self.checking:
            await self.forget()
        await self.repository.restore(tree)
        if await caches.drop(self.config.root, every=True):
            installing.Mark(self.config.root, "").clear()

    async def _drop_compiled(self) -> None:
        await caches.drop(self.config.root)

    async def _install_app(self, line: str, gate: installing.Gate) -> tuple[int | None, bytes]:
        mark = installing.Mark(self.config.root, line)
        try:
            before = await self.repository.tree()
            if mark.holds(before):
                return 0, b""
            mark.clear()
            code, output = await self.installations.install(line, {}, self.config.root, gate)
            await self.repository.disown(before)
            if code == 0:
                mark.set(await self.repository.tree())
            return code, output
        except (Refused, LinkLost) as problem:
            return None, f"{type(problem).__name__}: {problem}".encode()

    def _start_app(self, line: str, env: Mapping[str, str], sink: Callable[[bytes], None]) -> process.Command:
        return self.start(["/bin/sh", "-c", line], sink, env=env)

    async def disown(self) -> None:
        """Before anybody else changes files: what the app has written meanwhile is its own."""
        if self.app_ran:
            self.app_ran = self.app.port is not None
            await self.repository.disown()

    async def forget(self) -> None:
        """Remove all files that the job's code has left outside of /app, so that a check sees only what is in
        the repository."""
        scratch, home, kept = self.config.scratch, f"{self.config.scratch}/home", self.installations.folder
        ours = {path for path in (home, kept) if _is_folder(path)} | self.installations.archives
        places = [folder for folder in (*SHARED, scratch, home, kept) if _is_folder(folder)]
        left = {entry.path for folder in places for entry in os.scandir(folder)} - ours
        if not left:
            return
        if any(path.startswith(home) for path in left):
            installing.Mark(self.config.root, "").clear()  # the install step may have put files there
        but = [word for path in sorted(ours) for word in ("!", "-path", path)]
        find = ["find", *places, "-mindepth", "1", "-maxdepth", "1", *but, "-exec", *REMOVE, "{}", "+"]
        await self.run(find, {}, "/", REMOVE_S, ours=True)
        os.makedirs(home, exist_ok=True)

    def end_orphans(self) -> None:
        """Kill commands whose supervisor was killed by the job's code. They have become children of PID 1
        without being supervisors."""
        known = {command.pid for command in self.commands}
        for pid, parent in process.parents().items():
            if parent == os.getpid() and pid not in known:
                process.kill(pid)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
