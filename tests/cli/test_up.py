"""`boardroom up`, and commands that people run beside it, all on one running service."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from app.embedded.datadir import DataDir
from tests.cli.conftest import Boardroom, Popen, wait_until_ready
from tests.helpers.processes import command_line, processes_of
from tests.helpers.waiting import wait_for

PASSWORD, ANOTHER = "correct horse battery", "staple correct horse"


def processes_running(home: Path, module: str) -> set[int]:
    return {pid for pid in processes_of(home) if module.encode() in command_line(pid).split(b"\0")}


def login(url: str, email: str, password: str) -> int:
    body = {"email": email, "password": password}
    return httpx.post(f"{url}/api/auth/login/", json=body, timeout=30).status_code


@pytest.fixture(scope="module")
def up(start: Callable[..., Popen], home: Path) -> Popen:
    process = start("up", API_PROCESSES="2")
    wait_until_ready(home, process)
    return process


@pytest.fixture(scope="module")
def url(up: Popen, home: Path) -> str:
    return DataDir(home).last().url


def test_two_api_processes_share_one_address(up: Popen, url: str, home: Path) -> None:
    assert len(processes_running(home, "app.main")) == 2
    assert len(processes_running(home, "workers.main")) == 1
    assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}


def test_a_second_up_names_the_running_one(up: Popen, url: str, boardroom: Boardroom) -> None:
    second = boardroom("up")
    assert second.returncode == 2
    assert f"already runs here at {url} (process {up.pid}" in second.stderr
    assert httpx.get(f"{url}/healthz").is_success


def test_a_port_in_use_is_reported(up: Popen, url: str, boardroom: Boardroom, tmp_path: Path) -> None:
    port = url.rsplit(":", 1)[1]
    other = boardroom("up", DATA_DIR=str(tmp_path / "other"), PORT=port)
    assert other.returncode == 2
    assert f"port {port}: Address already in use. Choose another: PORT={int(port) + 1}" in other.stderr


def test_users_are_made_and_given_new_passwords(url: str, boardroom: Boardroom) -> None:
    added = boardroom("user", "add", "ada@example.org", "--name", "Ada", stdin=f"{PASSWORD}\n")
    assert (added.returncode, added.stdout) == (0, "Added ada@example.org.\n")
    assert login(url, "ada@example.org", PASSWORD) == 200
    again = boardroom("user", "add", "ADA@example.org", stdin=f"{PASSWORD}\n")
    assert again.returncode == 2
    assert "already" in again.stderr

    changed = boardroom("user", "passwd", "ada@example.org", stdin=f"{ANOTHER}\n")
    assert changed.returncode == 0
    assert (login(url, "ada@example.org", PASSWORD), login(url, "ada@example.org", ANOTHER)) == (400, 200)
    unknown = boardroom("user", "passwd", "nobody@example.org", stdin=f"{ANOTHER}\n")
    assert unknown.returncode == 2
    assert "nobody@example.org" in unknown.stderr


def test_a_tape_of_an_unknown_job_is_refused(url: str, boardroom: Boardroom) -> None:
    none = boardroom("tape", str(uuid4()))
    assert (none.returncode, none.stdout, none.stderr) == (2, "", "There is no such job.\n")


def test_migrate_and_doctor_see_what_runs(url: str, boardroom: Boardroom) -> None:
    assert boardroom("migrate").stdout == "The database is up to date.\n"
    said = boardroom("doctor")
    assert f"address: Boardroom runs at {url}" in said.stdout
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("module", ["workers.main", "app.main"])
def test_a_killed_process_is_started_again(up: Popen, url: str, home: Path, module: str) -> None:
    before = processes_running(home, module)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: len(processes_running(home, module) - {victim}) == len(before), 30)
    assert httpx.get(f"{url}/healthz", timeout=30).is_success


def test_the_metrics_of_all_processes_are_added(url: str) -> None:
    for _ in range(4):
        httpx.get(f"{url}/api/auth/me/")
    text = httpx.get(f"{url}/metrics").text
    assert "boardroom_runs_claimed_total" in text  # only the worker counts this


def test_killed_or_stopped_it_leaves_nothing(up: Popen, home: Path, start: Callable[..., Popen]) -> None:
    """This test has to be the last in this file, because it ends the service."""
    up.send_signal(signal.SIGTERM)
    assert up.wait(60) == 0
    assert processes_of(home) == []
    assert DataDir(home).running() is None

    again = start("up")
    wait_until_ready(home, again)
    os.kill(again.pid, signal.SIGKILL)
    again.wait()
    wait_for(lambda: not processes_of(home), 30)
