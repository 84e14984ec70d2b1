"""A server process that ends when we do: start it, watch it, start it again, stop it."""

import os
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import IO, ClassVar, Literal

from app.embedded.errors import StackProblem

Identity = Literal["self", "namespace", "nobody"]
"""The user as which a server runs; see `launch.py`."""

LAUNCHER = Path(__file__).with_name("launch.py")
START_TIMEOUT_S = 60.0
"""Seconds. Recovery after a crash takes well below one, but a disk may be slow."""
STOP_TIMEOUT_S = 15.0
ATTEMPTS = 5
LOG_TAIL_CHARS = 1500


class Server(ABC):
    """A child process that answers on 127.0.0.1:`port`. The kernel ends it when the *thread* that started it
    ends, so call `start` from the main thread."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    orphaned_signal: ClassVar[signal.Signals]
    """The signal that the kernel sends to it when we die."""

    def __init__(self, *, cwd: Path, log: Path, port: int, identity: Identity = "self") -> None:
        self.cwd, self.log, self.port, self.identity = cwd, log, port, identity
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """Program and arguments. They must contain no secret, because every user can read them."""

    @abstractmethod
    def answers(self, pid: int) -> bool:
        """Whether process `pid` serves already."""

    def configuration(self) -> str:
        """What it reads from its standard input."""
        return ""

    def start(self, *, may_move: bool) -> None:
        """Start and wait until it answers. With `may_move`, on another port if this one is taken. Raises
        StackProblem."""
        said = ""
        for attempt in range(1, ATTEMPTS + 1):
            mark = self.log.stat().st_size if self.log.exists() else 0
            if self._comes_up():
                return
            said = self.log.read_bytes()[mark:].decode(errors="replace").strip()
            if "in use" not in said:  # an address, or shared memory of a predecessor that is still stopping
                break
            if may_move and "Address already in use" in said:
                self.port = free_port()
            time.sleep(0.1 * attempt)
        raise StackProblem(f"{self.name} did not start. The end of {self.log}:\n{said[-LOG_TAIL_CHARS:]}")

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Ask it to end and wait; after STOP_TIMEOUT_S kill it. Idempotent."""
        if self._process is not None:
            end(self._process, self.stop_signal, STOP_TIMEOUT_S)
            self._process = None

    def _comes_up(self) -> bool:
        with self.log.open("ab") as log:
            self._process = launch(
                self.command(),
                identity=self.identity,
                orphaned_signal=self.orphaned_signal,
                cwd=self.cwd,
                stdin=subprocess.PIPE,
                stdout=log,
            )
        assert self._process.stdin
        with self._process.stdin as stdin:
            stdin.write(self.configuration().encode())
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.alive():
            if self.answers(self._process.pid):
                return True
            time.sleep(0.01)
        self.stop()
        return False


def launch(
    command: Sequence[str | Path],
    *,
    identity: Identity,
    cwd: Path,
    orphaned_signal: signal.Signals = signal.SIGKILL,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start `command` as a child that ends with us, in a session of its own, so that it does not get a Ctrl-C
    of the terminal. Its stderr goes to its stdout."""
    launcher: list[str | Path] = [
        sys.executable,
        "-I",
        "-S",
        LAUNCHER,
        str(os.getpid()),
        str(int(orphaned_signal)),
        identity,
    ]
    # Variables like PGDATA would redirect PostgreSQL; a locale would translate messages that we look for.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))
    }
    return subprocess.Popen(
        [*launcher, *command],
        cwd=cwd,
        env={**environment, "LC_ALL": "C"},
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], how: signal.Signals, within_s: float) -> None:
    """Send a signal to a process that leads its group, and make sure that it ends within that time."""
    if process.poll() is None:
        process.send_signal(how)
    await_end(process, within_s)


def await_end(process: subprocess.Popen[bytes], within_s: float) -> None:
    """Wait for a process that was asked to end. Kill its group after that time."""
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port(wanted: int = 0) -> int:
    """`wanted` if it is free, else a port that the kernel chooses. Another process may take it before we use
    it."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackProblem("There is no free port left on 127.0.0.1.")
