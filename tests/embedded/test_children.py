"""The supervisor and its children, with real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.embedded.children import Child, Children, KeepsDying
from tests.helpers.processes import ROOT
from tests.helpers.waiting import wait_for

MODULE = "tests.embedded.stand_in"
Start = Callable[..., Children]


def seen(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir()}


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def forgotten() -> list[int]:
    return []


@pytest.fixture
def start(tmp_path: Path, forgotten: list[int]) -> Iterator[Start]:
    made: list[Children] = []

    def with_manners(*manners: str) -> Children:
        children = [Child(manner, MODULE, (str(tmp_path), manner)) for manner in manners]
        made.append(Children(children, {**os.environ, "PYTHONPATH": str(ROOT)}, forgotten.append))
        return made[-1]

    yield with_manners
    for children in made:
        children.close()


def test_a_child_that_dies_is_started_again(start: Start, tmp_path: Path, forgotten: list[int]) -> None:
    children = start("wait")
    assert children.tend() == []
    wait_for(lambda: seen(tmp_path))
    (first,) = seen(tmp_path)
    os.kill(first, signal.SIGKILL)
    lines: list[str] = []

    def begun_anew() -> bool:
        lines.extend(children.tend())
        return len(seen(tmp_path)) == 2

    wait_for(begun_anew)
    assert lines == ["The wait process was ended by SIGKILL; it is started again."]
    assert forgotten == [first]


def test_a_child_waits_for_the_rest_of_its_environment(start: Start, tmp_path: Path) -> None:
    children = start("late", "late")
    children.begin()
    wait_for(lambda: len(seen(tmp_path)) == 2)
    first, second = sorted(seen(tmp_path))
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: gone(first))
    assert (tmp_path / str(second)).read_text() == ""
    children.go({"TOLD": "where the databases are"})
    wait_for(lambda: (tmp_path / str(second)).read_text() == "where the databases are")

    def again() -> bool:
        children.tend()
        return len(seen(tmp_path)) == 3

    wait_for(again)
    (third,) = seen(tmp_path) - {first, second}
    wait_for(lambda: (tmp_path / str(third)).read_text() == "where the databases are")


def test_a_child_that_waits_ends_with_its_supervisor(start: Start, tmp_path: Path) -> None:
    children = start("late")
    children.begin()
    wait_for(lambda: seen(tmp_path))
    children.stop()
    assert all(gone(pid) for pid in seen(tmp_path))


def test_a_child_that_keeps_dying_ends_the_supervisor(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.embedded.children.FIRST_PAUSE_S", 0.01)
    children = start("die")
    with pytest.raises(KeepsDying, match="ended with code 3, the 5th time within a minute"):
        wait_for(lambda: children.tend() and False)


def test_a_child_that_refuses_its_settings_is_not_started_again(start: Start, tmp_path: Path) -> None:
    children = start("refuse")
    with pytest.raises(KeepsDying, match="The refuse process cannot start with these settings"):
        wait_for(lambda: children.tend() and False)
    assert len(seen(tmp_path)) == 1


def test_stopping_leaves_no_process(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.embedded.children.STOP_TIMEOUT_S", 0.5)
    children = start("wait", "stubborn")
    children.tend()
    wait_for(lambda: len(seen(tmp_path)) == 2)
    began = time.monotonic()
    children.stop()
    assert time.monotonic() - began < 3
    assert all(gone(pid) for pid in seen(tmp_path))


@pytest.mark.parametrize("manner", ["wait", "stubborn"])
def test_children_end_with_a_killed_supervisor(tmp_path: Path, manner: str) -> None:
    program = (
        "import os, time\n"
        "from app.embedded.children import Child, Children\n"
        f"children = Children([Child('x', {MODULE!r}, ({str(tmp_path)!r}, {manner!r}))], os.environ, print)\n"
        "children.tend()\n"
        "time.sleep(60)\n"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        wait_for(lambda: seen(tmp_path))
    finally:
        supervisor.kill()
        supervisor.wait()
    wait_for(lambda: all(gone(pid) for pid in seen(tmp_path)))
