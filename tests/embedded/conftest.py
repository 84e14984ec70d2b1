"""Fixtures for data folders that are checked for left-over processes, and functions to find processes."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.processes import ROOT, processes_of
from tests.helpers.waiting import wait_for


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder that other users can be given, too (pytest's own cannot). No process may use it after the
    test."""
    with tempfile.TemporaryDirectory(prefix="boardroom-") as folder:
        yield Path(folder) / "data"
        wait_for(lambda: not processes_of(Path(folder)))


Hold = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Start a stack in its own process, in a session of its own, so that it can be killed alone."""
    held: list[subprocess.Popen[str]] = []

    def start(folder: Path, *prefix: str, python: str = sys.executable) -> "subprocess.Popen[str]":
        packages = next(path for path in sys.path if path.endswith("site-packages"))
        process = subprocess.Popen(
            [*prefix, python, str(Path(__file__).with_name("hold.py")), str(folder)],
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{packages}", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        held.append(process)
        return process

    yield start
    for process in held:
        process.kill()
        process.communicate()
