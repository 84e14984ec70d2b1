"""The service that the demo uses: the one that runs in DATA_DIR, or one that is started for the time."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from app.embedded.datadir import DataDir
from app.embedded.errors import StackProblem
from app.embedded.lifeline import Lifeline
from app.embedded.python import command_of
from app.embedded.server import await_end

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 60.0
TICK_S = 0.1
LOG_TAIL_CHARS = 2000
LOG = "demo.log"


@contextmanager
def service(data_dir: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """The service's address. A service that was started here ends with the block, or when we die. `say` gets
    what takes some seconds. Raises StackProblem."""
    home = DataDir(data_dir)
    if running := home.running():
        say(f"on the service that runs at {running.url}")
        _await_ready(running.url)
        yield running.url
        return
    lifeline = Lifeline()
    log_path = home.path / LOG
    say(f"starting PostgreSQL, Valkey, an API and a worker in {home.path} …")
    with log_path.open("wb") as log:
        up = subprocess.Popen(
            command_of("app.cli", "up"),
            env={**os.environ, "DATA_DIR": str(home.path), "PORT": "0", **lifeline.environment()},
            pass_fds=(lifeline.descriptor,),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that a Ctrl-C does not reach it; we stop it in order
        )
    try:
        yield _ready_address(home, up)
    finally:
        up.send_signal(signal.SIGTERM)
        await_end(up, STOP_WITHIN_S)
        lifeline.close()


def _ready_address(home: DataDir, up: "subprocess.Popen[bytes]") -> str:
    def still_starting() -> bool:
        if up.poll() is not None:
            said = (home.path / LOG).read_text(errors="replace").strip()
            raise StackProblem(f"Boardroom did not start:\n{said[-LOG_TAIL_CHARS:]}")
        return True

    while still_starting() and home.last().pid != up.pid:
        time.sleep(TICK_S)
    url = home.last().url
    _await_ready(url, still_starting)
    return url


def _await_ready(url: str, still_starting: Callable[[], bool] = lambda: True) -> None:
    """Wait until everything works. Raises StackProblem; at once if only boxes do not work, as waiting does
    not help."""
    deadline = time.monotonic() + READY_WITHIN_S
    while still_starting() and (down := _what_is_down(url)):
        if time.monotonic() > deadline or down.keys() == {"box"}:
            words = "\n".join(f"{part}: {detail}" for part, detail in down.items())
            raise StackProblem(f"Boardroom at {url} cannot work:\n{words}")
        time.sleep(TICK_S)


def _what_is_down(url: str) -> dict[str, str]:
    """The parts that do not work, with the reasons that `/readyz` gives."""
    try:
        # It runs on this machine: a proxy of the environment would not find it.
        answer = httpx.get(f"{url}/readyz", timeout=READY_WITHIN_S, trust_env=False)
        checks = answer.json()["checks"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return {"API": f"no answer yet ({type(error).__name__})"}
    return {part: state["detail"] for part, state in checks.items() if not state["ok"]}
