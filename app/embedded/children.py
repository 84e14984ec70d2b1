"""The supervisor's child processes (API, workers): started by module name, restarted, stopped together."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.embedded import late
from app.embedded.errors import StackProblem
from app.embedded.lifeline import Lifeline
from app.embedded.python import command_of
from app.embedded.server import await_end

STOP_TIMEOUT_S = 15.0
DEATHS_ALLOWED, DEATHS_WITHIN_S = 5, 60.0
FIRST_PAUSE_S = 0.2
REFUSES_SETTINGS = 2
"""The exit code of a child that its settings do not allow to start. It would say the same again."""


class KeepsDying(StackProblem):
    """A child died too often to be started again, or cannot start at all."""


@dataclass
class Child:
    """One process: `python -m module args`. `descriptors` are inherited under their own numbers."""

    name: str
    module: str
    args: Sequence[str] = ()
    descriptors: Sequence[int] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    deaths: list[float] = field(default_factory=list, init=False)
    due: float = field(default=0.0, init=False)


class Children:
    def __init__(
        self, children: Sequence[Child], environment: Mapping[str, str], forget: Callable[[int], None]
    ) -> None:
        """`forget` is called with the pid of each child that has ended."""
        self._children = children
        self._environment = dict(environment)
        self._forget = forget
        self._lifeline = Lifeline()

    def begin(self) -> None:
        """Start all. They load their libraries and wait for `go`."""
        for child in self._children:
            self._start(child, waits=True)

    def go(self, environment: Mapping[str, str]) -> None:
        """Give the rest of their environment to those that wait, and to all that are started from now on."""
        self._environment.update(environment)
        for child in self._children:
            if child.process is not None and child.process.stdin is not None:
                late.tell(child.process.stdin, environment)

    def tend(self) -> list[str]:
        """Start what should run; returns a line for each child that has ended. Raises KeepsDying."""
        now = time.monotonic()
        lines = [self._bury(child, now) for child in self._children if _died(child)]
        for child in self._children:
            if child.process is None and child.due <= now:
                self._start(child)
        return lines

    def stop(self) -> None:
        """Ask all children to end. One that has not ended in time is killed with its process group.
        Idempotent."""
        alive = [child.process for child in self._children if child.process]
        for process in alive:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in alive:
            await_end(process, max(0.0, deadline - time.monotonic()))
        for child in self._children:
            _let_go(child)

    def close(self) -> None:
        self.stop()
        self._lifeline.close()

    def _start(self, child: Child, *, waits: bool = False) -> None:
        marked = {late.VARIABLE: "1"} if waits else {}
        child.process = subprocess.Popen(
            command_of(child.module, *child.args),
            env={**self._environment, **marked, **self._lifeline.environment()},
            pass_fds=(self._lifeline.descriptor, *child.descriptors),
            stdin=subprocess.PIPE if waits else subprocess.DEVNULL,
            start_new_session=True,
        )

    def _bury(self, child: Child, now: float) -> str:
        assert child.process
        self._forget(child.process.pid)
        if child.process.returncode == REFUSES_SETTINGS:
            raise KeepsDying(f"The {child.name} process cannot start with these settings. Why is said above.")
        how = _in_words(child.process.returncode)
        _let_go(child)
        child.deaths = [*(death for death in child.deaths if now - death < DEATHS_WITHIN_S), now]
        if len(child.deaths) >= DEATHS_ALLOWED:
            raise KeepsDying(
                f"The {child.name} process {how}, the {DEATHS_ALLOWED}th time within a minute: stopping. "
                "Its output is above."
            )
        child.due = now + FIRST_PAUSE_S * 2 ** (len(child.deaths) - 1)
        return f"The {child.name} process {how}; it is started again."


def _died(child: Child) -> bool:
    return child.process is not None and child.process.poll() is not None


def _let_go(child: Child) -> None:
    if child.process is not None and child.process.stdin is not None:
        child.process.stdin.close()
    child.process = None


def _in_words(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with code {returncode}"
