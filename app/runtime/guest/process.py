"""Runs commands, each under a small supervisor process that leaves no process of it behind.

The guest has a single thread and forks a supervisor, which becomes a *child subreaper*, starts the command in
a session of its own and waits for the command's end, the guest's request to end it, or the deadline. Then it
kills all its descendants, including daemons, until it has no child left, and only then reports to the guest.
"""

import asyncio
import contextlib
import ctypes
import fcntl
import os
import resource
import select
import signal
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
REPORT = struct.Struct("!Bi")
EXITED, TIMED_OUT, ENDED, NOT_STARTED = range(4)
KILLED = 128 + signal.SIGKILL
ARCHIVE = 200  # the descriptor of what a command imports from
LOOK_S = 0.01
"""Seconds between two looks of a supervisor that the kernel does not wake (without `pidfd_open`)."""
PATIENCE_S = 10.0
"""Seconds in which a supervisor has to end its descendants. After that all processes in the box are
killed."""


@dataclass(frozen=True)
class Ended:
    """How a command ended. `exit_code` is None unless it ended by itself; `limit` is the limit that ended it,
    if one did."""

    exit_code: int | None
    timed_out: bool = False
    limit: str = ""


@dataclass(frozen=True)
class Limits:
    """Resource limits of each process (`file_bytes`, `cpu_s`, `files`) and of the box's user
    (`processes`)."""

    file_bytes: int = 1 << 30
    cpu_s: int = 3600
    processes: int = 512
    files: int = 4096

    def apply(self, pid: int = 0) -> None:
        """Limit this process, or the one of that id."""
        for what, value in (
            (resource.RLIMIT_FSIZE, self.file_bytes),
            (resource.RLIMIT_CPU, self.cpu_s),
            (resource.RLIMIT_NPROC, self.processes),
            (resource.RLIMIT_NOFILE, self.files),
            (resource.RLIMIT_CORE, 0),
        ):
            hard = resource.prlimit(pid, what)[1]
            if resource.RLIM_INFINITY in (value, hard):
                value = hard if value == resource.RLIM_INFINITY else value
            else:
                value = min(value, hard)
            resource.prlimit(pid, what, (value, value))
        # Message queues are in no folder, and would outlive a check. gVisor does not have this limit.
        with contextlib.suppress(ValueError, OSError):
            resource.prlimit(pid, resource.RLIMIT_MSGQUEUE, (0, 0))


@dataclass(frozen=True)
class Pipes:
    """The supervisor's ends of its pipes."""

    output: int
    stderr: int
    control: int
    report: int


class Command:
    """A running command, as the guest sees it. `sink` gets its output; `over` is its end. `hit` is asked for
    the kernel's limit that may have killed it, or an empty string."""

    def __init__(
        self,
        pid: int,
        output: int,
        control: int,
        report: int,
        sink: Callable[[bytes], None],
        hit: Callable[[], str],
    ) -> None:
        self.pid = pid
        self.output = output
        self.control = control
        self.report = report
        self.sink = sink
        self.hit = hit
        self.limit = ""
        self.over: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    def end(self, limit: str = "") -> None:
        """Ask the supervisor to end the command; `over` is set when it has ended."""
        if self.control >= 0:
            self.limit = self.limit or limit
            os.close(self.control)
            self.control = -1
            asyncio.get_running_loop().call_later(PATIENCE_S, self._insist)

    def _insist(self) -> None:
        if not self.over.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)

    def watch(self) -> None:
        loop = asyncio.get_running_loop()
        os.set_blocking(self.output, False)
        loop.add_reader(self.output, self._on_output)
        loop.add_reader(self.report, self._on_report)

    def _on_output(self) -> None:
        try:
            data = os.read(self.output, 65_536)
        except BlockingIOError:
            return
        if data:
            self.sink(data)
        else:
            asyncio.get_running_loop().remove_reader(self.output)

    def _on_report(self) -> None:
        report = os.read(self.report, REPORT.size)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.report)
        loop.remove_reader(self.output)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.output, 65_536):
                self.sink(data)
        for descriptor in {self.output, self.control, self.report} - {-1}:
            os.close(descriptor)
        self.control = -1
        # Without a report the job's code has killed the supervisor; `Box.end_orphans` ends what is left.
        how, code = REPORT.unpack(report) if len(report) == REPORT.size else (ENDED, 0)
        limit = self.limit or (self.hit() if how == EXITED and code == KILLED else "")
        self.over.set_result(
            Ended(code if how == EXITED else None, timed_out=how == TIMED_OUT, limit=limit)
            if how != NOT_STARTED
            else Ended(127)
        )


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
    archive: bytes = b"",
) -> Command:
    """Start `argv` with an empty stdin. `sink` gets stdout, and stderr unless that is a descriptor to write
    to. `deadline_s` is in seconds. Python imports from the `archive`, which is a sealed file in memory that
    nobody can change. Raises OSError if the box can have no more processes."""
    output, output_in = os.pipe()
    control_out, control = os.pipe()
    report, report_in = os.pipe()
    # Signals are blocked so that the guest's handlers do not run in the child before it has removed them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = -1
    try:
        pid = os.fork()
        if pid == 0:
            pipes = Pipes(output_in, stderr if stderr >= 0 else output_in, control_out, report_in)
            _become_supervisor(argv, cwd, env, limits, deadline_s, pipes, archive)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        for descriptor in (output_in, control_out, report_in):
            os.close(descriptor)
        if pid == -1:
            for descriptor in (output, control, report):
                os.close(descriptor)
    command = Command(pid, output, control, report, sink, hit)
    command.watch()
    return command


def _become_supervisor(
    argv: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    limits: Limits,
    deadline_s: float | None,
    pipes: Pipes,
    archive: bytes,
) -> None:
    """Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        _close_all_but({0, 1, 2, *vars(pipes).values()})
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        os.setsid()
        child = os.fork()
        if child == 0:
            _become_command(argv, cwd, env, limits, pipes, archive)
        os.close(pipes.output)
        how, code = _wait(child, pipes.control, deadline_s)
        _clear()
        os.write(pipes.report, REPORT.pack(how, code))
    except OSError:
        os.write(pipes.report, REPORT.pack(NOT_STARTED, 0))
    finally:
        os._exit(0)


def _become_command(
    argv: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    limits: Limits,
    pipes: Pipes,
    archive: bytes,
) -> None:
    """Never returns."""
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(pipes.output, 1)
        os.dup2(pipes.stderr, 2)
        os.closerange(3, 1 << 20)
        os.chdir(cwd)
        limits.apply()
        _offer_to_the_kernel()
        if archive and _seal(archive):
            env = {**env, "PYTHONPATH": f"/proc/self/fd/{ARCHIVE}"}
        os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606
    except (OSError, ValueError) as error:
        os.write(2, f"{argv[0]}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(127)


def _seal(archive: bytes) -> bool:
    """Put the archive into an unchangeable file in memory, at `ARCHIVE`. False if the kernel has none."""
    for_ever = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    try:
        made = os.memfd_create("checks", os.MFD_ALLOW_SEALING)
        os.write(made, archive)
        fcntl.fcntl(made, fcntl.F_ADD_SEALS, for_ever)
        os.dup2(made, ARCHIVE)
        os.close(made)
    except OSError:
        return False
    return True


def _offer_to_the_kernel() -> None:
    """Make the kernel kill this process before the guest when memory runs out. A process has to be dumpable
    to write to this file."""
    LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def _close_all_but(keep: set[int]) -> None:
    low = 0
    for descriptor in [*sorted(keep), 1 << 20]:
        if low < descriptor:  # the kernel takes an empty range for all descriptors
            os.closerange(low, descriptor)
        low = descriptor + 1


def _wait(child: int, control: int, deadline_s: float | None) -> tuple[int, int]:
    """How the command ended, and its exit code as a shell gives it (128 + signal)."""
    end = None if deadline_s is None else time.monotonic() + deadline_s
    poll = select.poll()
    poll.register(control, select.POLLIN | select.POLLHUP)
    pause = 1.0
    try:
        poll.register(os.pidfd_open(child), select.POLLIN)
    except OSError:  # gVisor may lack this system call
        pause = LOOK_S
    while True:
        left = pause if end is None else min(pause, end - time.monotonic())
        if left <= 0:
            return TIMED_OUT, 0
        ready = {descriptor for descriptor, _ in poll.poll(left * 1000)}
        if control in ready:
            return ENDED, 0
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == child:
                    code = os.waitstatus_to_exitcode(status)
                    return EXITED, code if code >= 0 else 128 - code
                if pid == 0:
                    break


def _clear() -> None:
    """Kill the descendants of this process until there are none."""
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in descendants(os.getpid(), parents()):
            kill(pid)
        time.sleep(0.001)


async def ending(command: Command) -> None:
    """End a command, if it still runs, and wait until nothing is left of it."""
    command.end()
    if not command.over.done():
        await asyncio.wait([command.over])


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def parents() -> dict[int, int]:
    """The parent of each process in the box, by process id."""
    tree = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                tree[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
    return tree


def descendants(ancestor: int, tree: Mapping[int, int]) -> list[int]:
    """All descendants, parents before children: if a child were killed first, its shell would go on with the
    next command."""
    found = [ancestor]
    for pid in found:  # processes are read one after the other, so `tree` may even contain a cycle
        found.extend(child for child, parent in tree.items() if parent == pid and child not in found)
    return found[1:]
