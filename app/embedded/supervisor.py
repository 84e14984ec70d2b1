"""`boardroom up`: starts everything in order, watches it, and stops it in order.

What it needs of packages above this one (migrations, boxes) is passed in as functions.
"""

import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from errno import EACCES, EADDRINUSE
from functools import partial
from textwrap import indent

from app import metrics
from app.embedded.children import Child, Children
from app.embedded.datadir import DataDir
from app.embedded.errors import StackProblem, in_words
from app.embedded.stack import Stack
from app.embedded.stopping import stops_on_signal
from app.settings import Settings

SECRET_FILE = "secret.key"  # noqa: S105 - the name of a file
TICK_S = 0.2
SLOW_S = 20.0
"""Seconds, longer than a start takes. After them the missing parts are named."""
ANSWER_S = 5.0
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a client here can reach them


class PortTaken(StackProblem):
    """Another program listens on HOST:PORT."""


@dataclass(frozen=True)
class Neighbours:
    """What the supervisor needs of other packages."""

    migrate: Callable[[str], None]
    """Bring the database at this address up to date."""
    describe: Callable[[], list[str]]
    """Lines that say what runs here and what this machine can do."""
    stop_boxes: Callable[[], None]
    say: Callable[[str], None]


def supervise(settings: Settings, neighbours: Neighbours) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP, then stop everything: API and workers, boxes, Valkey, PostgreSQL.
    Raises StackProblem if it cannot start or go on."""
    with stops_on_signal(), ExitStack() as later:
        began = time.monotonic()
        home = DataDir(settings.data_dir)
        later.enter_context(home.locked())
        listener = later.enter_context(listen(settings.host, settings.port))
        port = listener.getsockname()[1]
        url = _url(settings.host, port)
        home.note(replace(home.last(), pid=os.getpid(), url=url))
        neighbours.say(f"Boardroom: {url} (its API to try out: {url}/docs). Stop it with Ctrl-C.")
        stack = Stack(
            home,
            database_url=settings.database_url,
            redis_url=settings.redis_url,
            postgres_bin=settings.postgres_bin,
            valkey_bin=settings.valkey_bin,
        )
        later.callback(stack.stop)
        neighbours.migrate(stack.database_url)
        later.callback(neighbours.stop_boxes)
        figures = home.path / "metrics"
        env = {**environment(settings, home, stack, port), **metrics.share_figures(figures)}
        children = Children(_children(settings, listener), env, partial(metrics.forget_process, figures))
        later.callback(children.close)
        children.tend()
        for line in neighbours.describe():
            neighbours.say(indent(line, "  "))
        _watch(children, stack, url, began, neighbours.say)


def environment(settings: Settings, home: DataDir, stack: Stack, port: int) -> Mapping[str, str]:
    """The environment of our child processes: ours, with the addresses of this start."""
    return {
        **os.environ,
        "DATABASE_URL": stack.database_url,
        "REDIS_URL": stack.redis_url,
        "DATA_DIR": str(home.path),
        "SECRET_KEY": settings.secret_key.get_secret_value() or home.secret(SECRET_FILE),
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


def _children(settings: Settings, listener: socket.socket) -> list[Child]:
    descriptor = listener.fileno()
    api = [
        Child("API", "app.main", args=("--fd", str(descriptor)), descriptors=(descriptor,))
        for _ in range(settings.api_processes)
    ]
    return [*api, *(Child("worker", "workers.main") for _ in range(settings.workers))]


def _watch(children: Children, stack: Stack, url: str, began: float, say: Callable[[str], None]) -> None:
    ready = told = False
    while True:
        for line in children.tend():
            say(line)
        for name in stack.revive():
            say(f"{name} had died and runs again.")
        if not ready and (missing := what_is_missing(url)) is not None:
            took = time.monotonic() - began
            if ready := not missing:
                say(f"Ready after {took:.1f} s.")
            elif took > SLOW_S and not told:
                told = True
                say(f"Not ready yet: {missing}")
        time.sleep(TICK_S)


def what_is_missing(url: str) -> str | None:
    """The parts that the API at this address reports as not working, with the reason; None if it does not
    answer."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=ANSWER_S)
    try:
        connection.request("GET", "/readyz")
        checks = json.loads(connection.getresponse().read())["checks"]
    except (OSError, http.client.HTTPException, ValueError, LookupError):
        return None
    finally:
        connection.close()
    return "; ".join(f"{part}: {check['detail']}" for part, check in checks.items() if not check["ok"])


def _url(host: str, port: int) -> str:
    reachable = ANYWHERE.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
