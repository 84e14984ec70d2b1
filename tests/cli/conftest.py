"""Fixtures for the command in its own process, with a DATA_DIR that no process may use after the test."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from app.embedded.datadir import DataDir
from tests.cli import commands
from tests.helpers.processes import processes_of
from tests.helpers.waiting import wait_for

START_S = 60.0

Popen = subprocess.Popen[str]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The DATA_DIR of all tests in a file."""
    with tempfile.TemporaryDirectory(prefix="boardroom-") as folder:
        yield Path(folder) / "it's data"
        wait_for(lambda: not processes_of(Path(folder)), 30)


def small_environment(home: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    small = {"LEASE_S": "2", "SWEEP_S": "0.5", "REHEARSAL_PACE": "0"}
    return {**kept, **small, "DATA_DIR": str(home), "PORT": "0", "COLUMNS": "200"}


@pytest.fixture(scope="module")
def environment(home: Path) -> Mapping[str, str]:
    return small_environment(home)


Boardroom = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def boardroom(environment: Mapping[str, str]) -> Boardroom:
    """Run one command to its end."""

    def run(*words: str, stdin: str = "", **more: str) -> "subprocess.CompletedProcess[str]":
        return commands.run(words, {**environment, **more}, stdin)

    return run


@pytest.fixture(scope="module")
def start(environment: Mapping[str, str]) -> Iterator[Callable[..., Popen]]:
    """Start one command, which runs until the end of the test."""
    begun: list[Popen] = []

    def begin(*words: str, **more: str) -> Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", *words],
            env={**environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def wait_until_ready(home: Path, process: Popen) -> str:
    """The address of the service that `process` (an `up`) runs."""

    def ready() -> bool:
        assert process.poll() is None, process.communicate()[0]
        note = DataDir(home).last()
        return note.pid == process.pid and _is_ready(note.url)

    wait_for(ready, START_S)
    return DataDir(home).last().url


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=START_S).status_code == 200
    except httpx.HTTPError:
        return False
