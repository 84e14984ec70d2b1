"""`boardroom up` on a disk that is really full: a small file system of this test alone."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app.embedded.datadir import DataDir
from tests.cli.conftest import small_environment
from tests.helpers.processes import command_line, processes_of
from tests.helpers.waiting import wait_for

APART = ("unshare", "--mount", "sh", "-c")
SMALL = 'mount -t tmpfs -o size=150m none "$1" && shift && exec "$@"'

pytestmark = pytest.mark.skipif(
    subprocess.run([*APART, SMALL, "sh", "/mnt", "true"], capture_output=True, check=False).returncode != 0,
    reason="Mounting a file system needs root.",
)


@dataclass
class Small:
    """A service in a file system of 150 MB, which `inside` shows to this process."""

    up: "subprocess.Popen[str]"
    home: Path
    inside: Path
    client: httpx.Client

    def fill(self) -> None:
        with (self.inside / "filler").open("wb", buffering=0) as filler:
            for size in (65_536, 512):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    continue

    def make_room(self) -> None:
        (self.inside / "filler").unlink()

    def post(self, prompt: str) -> httpx.Response:
        return self.client.post("/api/jobs/", json={"prompt": prompt})

    def ready(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get("/readyz").json()
        return answer

    def is_ready(self) -> bool:
        assert self.up.poll() is None, self.up.communicate()[0]
        try:
            return bool(self.ready()["status"] == "ready")
        except httpx.HTTPError:
            return False

    def children(self) -> dict[str, int]:
        found = {}
        for pid in processes_of(self.home):
            words = command_line(pid).split(b"\0")
            found.update({module: pid for module in ("app.main", "workers.main") if module.encode() in words})
        return found


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    home = tmp_path / "data"
    environment: Mapping[str, str] = small_environment(home)
    up = subprocess.Popen(
        [*APART, SMALL, "sh", str(tmp_path), sys.executable, "-m", "app.cli", "up"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    inside = Path(f"/proc/{up.pid}/root{tmp_path}")

    def url() -> str:
        assert up.poll() is None, up.communicate()[0]
        return DataDir(inside / "data").last().url if (inside / "data").is_dir() else ""

    wait_for(url, 60)
    with httpx.Client(base_url=url(), timeout=30) as client:
        service = Small(up, home, inside, client)
        wait_for(service.is_ready, 60)
        me = {"email": "ada@example.org", "password": "correct horse battery"}
        access = client.post("/api/auth/register/", json=me).json()["access"]
        client.headers["Authorization"] = f"Bearer {access}"
        yield service
    up.send_signal(signal.SIGTERM)
    up.communicate(timeout=60)


def test_calls_are_503_until_there_is_room(small: Small) -> None:
    before = small.children()
    small.fill()
    answer = None
    for _ in range(500):  # there may be room in pages that are there already
        answer = small.post("x" * 5000)
        if answer.status_code != 201:
            break
    assert answer is not None
    assert (answer.status_code, answer.json()["code"]) == (503, "database_full")
    assert int(answer.headers["retry-after"]) > 0
    wait_for(lambda: "disk is full" in small.ready()["checks"]["database"]["detail"])
    assert small.client.get("/api/jobs/").status_code == 200
    small.make_room()
    wait_for(small.is_ready, 60)
    wait_for(lambda: small.post("There is room again").status_code == 201)
    assert small.children() == before


def test_processes_that_die_meanwhile_come_back(small: Small) -> None:
    """Without reserved room for metrics each new one was ended by SIGBUS, and `up` gave up."""
    small.fill()
    before = small.children()
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)

    def came_back() -> bool:
        now = small.children()
        return len(now) == 2 and not set(now.values()) & set(before.values()) and answers(small)

    wait_for(came_back, 60)
    small.make_room()
    wait_for(small.is_ready, 60)


def answers(small: Small) -> bool:
    try:
        return "worker" in small.ready()["checks"] and small.ready()["checks"]["worker"]["ok"]
    except (httpx.HTTPError, json.JSONDecodeError):
        return False


async def switch_logs(database_url: str) -> None:
    """Have PostgreSQL need new files for its log, until it cannot go on."""
    for number in range(200):
        connection = await asyncpg.connect(database_url.partition("?")[0])
        await connection.execute(f"create table filling_{number} ()")
        await connection.execute("select pg_switch_wal()")
        await connection.close()


@pytest.mark.may_block
async def test_a_postgresql_that_cannot_start_is_tried_until_there_is_room(small: Small) -> None:
    before = small.children()
    database_url = DataDir(small.inside / "data").last().database_url
    small.fill()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await switch_logs(database_url)
    wait_for(lambda: small.post("Is it there?").json().get("code") == "database_down", 30)
    assert small.up.stdout
    for line in small.up.stdout:
        if "PostgreSQL has died and cannot start again" in line:
            break
    small.make_room()
    wait_for(small.is_ready, 60)
    wait_for(lambda: small.post("There is room again").status_code == 201)
    assert small.children() == before
