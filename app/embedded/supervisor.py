"""`boardroom up`: starts everything in order, watches it, and stops it in order.

It lives as long as the service and only watches four children, so it loads little: no settings' library, no
database's. What needs those is done by processes of their own (`app.errands`).
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from errno import EACCES, EADDRINUSE
from functools import partial
from pathlib import Path
from typing import NoReturn

from app import metrics_folder
from app.embedded.children import Child, Children, KeepsDying
from app.embedded.datadir import DataDir
from app.embedded.errors import NoRoom, StackProblem, in_words
from app.embedded.lifeline import Lifeline, watch_parent
from app.embedded.python import command_of
from app.embedded.server import await_end
from app.embedded.stack import Stack
from app.embedded.stopping import SIGNALS, stops_on_signal

PREPARATION, ERRANDS = "app.preparation", "app.errands"
SECRET_FILE = "secret.key"  # noqa: S105 - the name of a file
TICK_S = 0.2
NO_ROOM_S = 3.0
"""Seconds until a server is tried again that has no room on its disk."""

ERRAND_S, ENDS_S = 30.0, 5.0
"""Seconds in which the boxes are stopped, and in which an errand ends that is no longer needed."""
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a client here can reach them


class PortTaken(StackProblem):
    """Another program listens on HOST:PORT."""


@dataclass(frozen=True)
class Plan:
    """What is started. The names are those of the settings."""

    data_dir: Path
    host: str
    port: int
    api_processes: int
    workers: int
    secret_key: str = ""
    database_url: str = ""
    redis_url: str = ""
    postgres_bin: Path | None = None
    valkey_bin: Path | None = None

    def as_environment(self) -> dict[str, str]:
        return {name.upper(): "" if value is None else str(value) for name, value in vars(self).items()}

    @classmethod
    def from_environment(cls, variables: Mapping[str, str]) -> "Plan":
        """The counterpart of `as_environment`."""
        postgres, valkey = variables["POSTGRES_BIN"], variables["VALKEY_BIN"]
        return cls(
            Path(variables["DATA_DIR"]),
            variables["HOST"],
            int(variables["PORT"]),
            int(variables["API_PROCESSES"]),
            int(variables["WORKERS"]),
            variables["SECRET_KEY"],
            variables["DATABASE_URL"],
            variables["REDIS_URL"],
            Path(postgres) if postgres else None,
            Path(valkey) if valkey else None,
        )


def become_supervisor(plan: Plan) -> NoReturn:
    """Replace this process, which has loaded more than the supervisor needs. A signal that comes meanwhile
    is kept for it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    os.environ.update(plan.as_environment())
    os.execv(sys.executable, command_of("app.embedded.supervisor"))  # noqa: S606 - no shell


def supervise(plan: Plan, say: Callable[[str], None]) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP, then stop everything: API and workers, boxes, Valkey, PostgreSQL.
    Raises StackProblem if it cannot start or go on; SystemExit if an errand has said why it cannot."""
    with stops_on_signal(), ExitStack() as later:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        began = time.monotonic()
        home = DataDir(plan.data_dir)
        later.enter_context(home.locked())
        listener = later.enter_context(listen(plan.host, plan.port))
        port = listener.getsockname()[1]
        url = _url(plan.host, port)
        home.note(replace(home.last(), pid=os.getpid(), url=url))
        say(f"Boardroom: {url} (its API to try out: {url}/docs). Stop it with Ctrl-C.")
        figures = home.path / "metrics"
        known = {**os.environ, **environment(plan, home, port), **metrics_folder.share(figures)}
        preparation = Preparation(known)
        later.callback(preparation.end)
        forget = partial(metrics_folder.forget_process, figures)
        children = Children(_children(plan, listener), known, forget)
        later.callback(children.close)
        children.begin()
        stack = Stack(
            home,
            database_url=plan.database_url,
            redis_url=plan.redis_url,
            postgres_bin=plan.postgres_bin,
            valkey_bin=plan.valkey_bin,
        )
        later.callback(stack.stop)
        addresses = {"DATABASE_URL": stack.database_url, "REDIS_URL": stack.redis_url}
        preparation.migrate(addresses, url, began, ours=not plan.database_url)
        later.callback(_stop_boxes, plan, {**known, **addresses}, say)
        later.callback(children.stop)
        later.callback(preparation.end)
        children.go(addresses)
        _watch(children, stack, say)


class Preparation:
    """The process that brings the database up to date, and then says what runs here and when all of it works.
    It loads its libraries while the databases start."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._lifeline = Lifeline()
        migrated, tells = os.pipe()
        self._migrated = os.fdopen(migrated, "rb")
        try:
            self._process = subprocess.Popen(
                command_of(PREPARATION, str(tells)),
                env={**environment, **self._lifeline.environment()},
                pass_fds=(self._lifeline.descriptor, tells),
                stdin=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C does not reach it
            )
        finally:
            os.close(tells)

    def migrate(self, addresses: Mapping[str, str], url: str, began: float, *, ours: bool) -> None:
        """Return when the database is up to date; `ours`: it is. What is said afterwards is of the service at
        `url`, which is being started since `began` (of the monotonic clock). Raises SystemExit if it has
        failed; why is said."""
        assert self._process.stdin
        order = {"environment": dict(addresses), "url": url, "began": began, "ours": ours}
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.close()
        if not self._migrated.read(1):
            raise SystemExit(self._process.wait() or 1)

    def end(self) -> None:
        """Idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
            await_end(self._process, ENDS_S)


def _stop_boxes(plan: Plan, env: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Containers go on if the database is not ours: workers elsewhere may use them."""
    left = ["--leave-containers"] if plan.database_url else []
    errand = subprocess.Popen(
        command_of(ERRANDS, *left),
        env=env,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    await_end(errand, ERRAND_S)
    if errand.returncode:
        say("Not all boxes could be stopped.")


def environment(plan: Plan, home: DataDir, port: int) -> dict[str, str]:
    """What our child processes find in their environment beside ours, before the databases run."""
    return {
        "DATA_DIR": str(home.path),
        "SECRET_KEY": plan.secret_key or home.secret(SECRET_FILE),
        "PORT": str(port),
    }


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """The socket that all API processes share. Connections wait in it while a process is started again."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        other = f"PORT={port + 1}" if error.errno in (EADDRINUSE, EACCES) else "HOST=127.0.0.1"
        raise PortTaken(
            f"Cannot listen on {host}, port {port}: {in_words(error)}. Choose another: {other}"
        ) from error
    # Connections inherit it. uvicorn does not set it, because it takes a descriptor for a Unix socket.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        yield listener


def _children(plan: Plan, listener: socket.socket) -> list[Child]:
    descriptor = listener.fileno()
    api = [
        Child("API", "app.main", args=("--fd", str(descriptor)), descriptors=(descriptor,))
        for _ in range(plan.api_processes)
    ]
    return [*api, *(Child("worker", "workers.main") for _ in range(plan.workers))]


def _watch(children: Children, stack: Stack, say: Callable[[str], None]) -> None:
    due, said = 0.0, ""
    while True:
        for line in children.tend():
            say(line)
        if time.monotonic() >= due:
            try:
                for name in stack.revive():
                    say(f"{name} had died and runs again.")
                said = ""
            except NoRoom as problem:
                due = time.monotonic() + NO_ROOM_S
                if str(problem) != said:
                    said = str(problem)
                    say(said)
        time.sleep(TICK_S)


def _url(host: str, port: int) -> str:
    reachable = ANYWHERE.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    watch_parent()
    try:
        supervise(Plan.from_environment(os.environ), _say)
    except StackProblem as problem:
        sys.stderr.write(f"{problem}\n")
        sys.exit(1 if isinstance(problem, KeepsDying) else 2)


if __name__ == "__main__":
    main()
