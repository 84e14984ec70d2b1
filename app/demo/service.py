"""The service the demo plays on: the one that runs in DATA_DIR, or one of our own for as long as it takes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from app.embedded.datadir import DataDir
from app.embedded.errors import StackProblem
from app.embedded.lifeline import VARIABLE
from app.embedded.server import await_end

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 60.0
LOG = "demo.log"


@contextmanager
def service(data_dir: Path) -> Iterator[str]:
    """Its address. One of our own ends with this block, or with our death. StackProblem."""
    home = DataDir(data_dir)
    if running := home.running():
        _await(lambda: _is_ready(running.url), f"Boardroom at {running.url} is not ready")
        yield running.url
        return
    reading, ours = os.pipe()
    log_path = home.path / LOG
    with log_path.open("wb") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "up"],
            env={**os.environ, "DATA_DIR": str(home.path), "PORT": "0", VARIABLE: str(reading)},
            pass_fds=(reading,),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # a Ctrl-C is ours; we stop it in order
        )
    try:
        os.close(reading)
        yield _ready_address(home, up)
    finally:
        up.send_signal(signal.SIGTERM)
        await_end(up, STOP_WITHIN_S)
        os.close(ours)


def _ready_address(home: DataDir, up: "subprocess.Popen[bytes]") -> str:
    def ready() -> bool:
        if up.poll() is not None:
            raise StackProblem(f"Boardroom did not start:\n{(home.path / LOG).read_text().strip()}")
        note = home.last()
        return note.pid == up.pid and _is_ready(note.url)

    _await(ready, f"Boardroom did not get ready; its words are in {home.path / LOG}")
    return home.last().url


def _await(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not true():
        if time.monotonic() > deadline:
            raise StackProblem(f"{otherwise} after {READY_WITHIN_S:.0f} s.")
        time.sleep(0.1)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).is_success
    except httpx.HTTPError:
        return False
