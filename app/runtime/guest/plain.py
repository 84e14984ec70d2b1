"""Runs the service's own commands, such as git, without a supervisor: a sixth of the time of one with it.

They are no code of the job, so there is nothing to clear up after them but what they were told to do; when
one is ended, its session is. What it may use is limited like a command of the job.
"""

import asyncio
import contextlib
import math
import os
import signal
from collections.abc import Callable, Mapping, Sequence

from .process import (
    KILLED,
    Command,
    Ended,
    Limits,
    descendants,
    kill,
    parents,
)

collected: dict[int, int] = {}
"""The statuses of ended commands that `reap` has collected, by process id, until they are asked for."""

_running: set[int] = set()
_DEFAULT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)


def is_possible() -> bool:
    """Whether this kernel tells of the end of a process (`pidfd_open`). gVisor may not."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def reap(*_: object) -> None:
    """Handler of SIGCHLD: collect ended children. As PID 1 the guest inherits all orphans."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if pid in _running:
                collected[pid] = status


class PlainCommand(Command):
    """A command without a supervisor. `deadline_s` is in seconds."""

    def __init__(
        self,
        pid: int,
        output: int,
        sink: Callable[[bytes], None],
        hit: Callable[[], str],
        deadline_s: float | None,
    ) -> None:
        super().__init__(pid, output, -1, -1, sink, hit)
        self._timed_out = False
        self._ended = False
        self._end = os.pidfd_open(pid)
        late = math.inf if deadline_s is None else deadline_s
        self._late = asyncio.get_running_loop().call_later(late, self._time_out)

    def end(self, limit: str = "") -> None:
        if not self._ended and not self.over.done():
            self._ended = True
            self.limit = self.limit or limit
            for pid in descendants(self.pid, parents()):
                kill(pid)
            kill(self.pid)

    def _time_out(self) -> None:
        self._timed_out = True
        self.end()

    def watch(self) -> None:
        loop = asyncio.get_running_loop()
        os.set_blocking(self.output, False)
        loop.add_reader(self.output, self._on_output)
        loop.add_reader(self._end, self._on_end)

    def _on_end(self) -> None:
        loop = asyncio.get_running_loop()
        self._late.cancel()
        loop.remove_reader(self._end)
        loop.remove_reader(self.output)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.output, 65_536):
                self.sink(data)
        os.close(self._end)
        os.close(self.output)
        code = os.waitstatus_to_exitcode(self._status())
        code = code if code >= 0 else 128 - code
        limit = self.limit or (self.hit() if code == KILLED else "")
        self.over.set_result(Ended(None if self._ended else code, self._timed_out, limit))

    def _status(self) -> int:
        _running.discard(self.pid)
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return status
        return collected.pop(self.pid, signal.SIGKILL)


def start(
    argv: Sequence[str],
    *,
    cwd: str,
    env: Mapping[str, str],
    limits: Limits,
    sink: Callable[[bytes], None],
    deadline_s: float | None = None,
    stderr: int = -1,
    hit: Callable[[], str] = lambda: "",
) -> Command:
    """As `process.start`. Raises OSError."""
    output, output_in = os.pipe()
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output_in, 1),
        (os.POSIX_SPAWN_DUP2, stderr if stderr >= 0 else output_in, 2),
    ]
    # Until it is known, its end must not be collected.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
    try:
        os.chdir(cwd)  # the guest has one thread
        pid = os.posix_spawnp(
            argv[0],
            list(argv),
            dict(env),
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=_DEFAULT,
        )
        _running.add(pid)
        command = PlainCommand(pid, output, sink, hit, deadline_s)
    except OSError:
        os.close(output)
        raise
    finally:
        os.fchdir(here)
        os.close(here)
        os.close(output_in)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD,))
    with contextlib.suppress(OSError):  # it may have ended
        limits.apply(pid)
        with open(f"/proc/{pid}/oom_score_adj", "w") as file:  # it is to be killed before the guest
            file.write("1000")
    command.watch()
    return command
