"""Fixtures for data folders that are checked for left-over processes, and functions to find processes."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def processes_of(folder: Path) -> list[int]:
    """The processes that work in the folder, or have it in their command line or environment."""
    found, name = [], os.fsencode(folder)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            place = os.readlink(entry / "cwd")
        except OSError:
            continue
        if name in words or f"{place}/".startswith(f"{folder}/"):
            found.append(int(entry.name))
    return found


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_for(true: Callable[[], object], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"still not so after {within_s} s"
        time.sleep(0.01)


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
