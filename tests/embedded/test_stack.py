"""The embedded PostgreSQL and Valkey, with the programs of the real Python packages."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import redis

from app.embedded import cluster
from app.embedded.binaries import find_postgres
from app.embedded.datadir import DataDir
from app.embedded.errors import NotInstalled, StackProblem, WrongMajor
from app.embedded.stack import Stack, start
from tests.embedded.conftest import Hold
from tests.helpers.processes import command_line, processes_of
from tests.helpers.somebody_else import as_root
from tests.helpers.waiting import wait_for

pytestmark = pytest.mark.may_block


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


def ping(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=5) as client:
        return bool(client.ping())


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


async def test_serves_keeps_its_data_and_its_ports_and_leaves_nothing(data_dir: Path) -> None:
    first = start(data_dir, durable=False)
    try:
        await ask(first.database_url, "create table kept as select 42 as answer")
        assert ping(first.redis_url)
    finally:
        first.stop()
    assert processes_of(data_dir) == []

    second = start(data_dir, durable=False)
    try:
        assert (second.database_url, second.redis_url) == (first.database_url, first.redis_url)
        assert await ask(second.database_url, "select answer from kept") == 42
        assert await ask(second.database_url, "select lower('ÄÖ') || current_setting('TimeZone')") == "äöUTC"
    finally:
        second.stop()


async def test_a_password_is_required_and_never_shown(data_dir: Path) -> None:
    stack = start(data_dir, durable=False)
    try:
        secret = re.compile(r":[^:@/]+@")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await ask(secret.sub(":wrong@", stack.database_url), "select 1")
        with pytest.raises(redis.AuthenticationError):
            ping(secret.sub("", stack.redis_url))
        passwords = [secret.search(url)[0].strip(":@") for url in (stack.database_url, stack.redis_url)]  # type: ignore[index]
        lines = [command_line(pid).decode() for pid in processes_of(data_dir)]
        assert lines
        assert not [line for line in lines if any(password in line for password in passwords)]
        assert await ask(stack.database_url, "select current_setting('listen_addresses')") == "127.0.0.1"
    finally:
        stack.stop()
    assert data_dir.stat().st_mode & 0o777 == 0o700
    for private in ("postgres.password", "valkey.password", "run.json"):
        assert (data_dir / private).stat().st_mode & 0o777 == 0o600


async def test_killed_starter_leaves_nothing_and_the_data_recovers(data_dir: Path, hold: Hold) -> None:
    process = hold(data_dir)
    assert process.stdout
    database_url = process.stdout.readline().split()[0]
    await ask(database_url, "create table kept as select 42 as answer")
    assert len(processes_of(data_dir)) > 2
    process.kill()
    process.wait()
    stack = start(data_dir, durable=False)  # at once: it has to wait for processes that are still ending
    try:
        assert await ask(stack.database_url, "select answer from kept") == 42
    finally:
        stack.stop()


async def test_servers_that_die_run_again_at_the_same_address(data_dir: Path) -> None:
    stack = start(data_dir, durable=False)
    try:
        await ask(stack.database_url, "create table kept as select 42 as answer")
        note = next(data_dir.glob("pg*/postmaster.pid"))
        os.kill(cluster.noted_pid(note) or 0, signal.SIGKILL)
        with redis.Redis.from_url(stack.redis_url) as client:
            os.kill(client.info("server")["process_id"], signal.SIGKILL)
        revived: list[str] = []

        def both_revived() -> bool:
            revived.extend(stack.revive())
            return len(revived) == 2

        wait_for(both_revived)
        assert sorted(revived) == ["PostgreSQL", "Valkey"]
        assert await ask(stack.database_url, "select answer from kept") == 42
        assert ping(stack.redis_url)
        assert stack.revive() == []
    finally:
        stack.stop()


async def test_ports_in_use_and_a_pid_file_with_a_reused_pid(data_dir: Path) -> None:
    start(data_dir, durable=False).stop()
    home = DataDir(data_dir)
    note = next(data_dir.glob("pg*")).joinpath("postmaster.pid")
    somebody = await asyncio.create_subprocess_exec("sleep", "60")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        note.write_text(f"{somebody.pid}\n")
        port = taken.getsockname()[1]
        home.note(replace(home.last(), postgres_port=port, valkey_port=port))
        stack = start(data_dir, durable=False)
        try:
            assert await ask(stack.database_url, "select 1") == 1
            assert ping(stack.redis_url)
            assert str(port) not in (stack.database_url + stack.redis_url)
        finally:
            stack.stop()
            somebody.kill()
            await somebody.wait()


async def test_a_clash_at_the_last_moment(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr("app.embedded.postgres.free_port", lambda wanted: taken.getsockname()[1])
        monkeypatch.setattr("app.embedded.valkey.free_port", lambda wanted: taken.getsockname()[1])
        stack = start(data_dir, durable=False)
    try:
        assert await ask(stack.database_url, "select 1") == 1
        assert ping(stack.redis_url)
    finally:
        stack.stop()


def test_another_major_version_is_refused_untouched(data_dir: Path) -> None:
    old = data_dir / "pg14"
    old.mkdir(parents=True)
    (old / "PG_VERSION").write_text("14\n")
    home = DataDir(data_dir)
    home.secret(cluster.PASSWORD_FILE)
    before = snapshot(data_dir)
    with pytest.raises(WrongMajor, match="PostgreSQL 14") as refused:
        start(data_dir)
    assert snapshot(data_dir) == before
    commands = [line for line in str(refused.value).splitlines() if line.startswith("  ")]
    assert len(commands) == 2
    assert "initdb" in commands[0]
    assert "pg_upgrade" in commands[1]


async def test_a_half_made_folder_is_made_again(data_dir: Path) -> None:
    major = cluster.identity_and_major(find_postgres(), Path("/"))[1]
    half = data_dir / f"pg{major}.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("half")
    stack = start(data_dir, durable=False)
    try:
        assert await ask(stack.database_url, "select 1") == 1
    finally:
        stack.stop()
    assert not half.exists()


async def test_a_long_path_with_a_space_and_a_quote(data_dir: Path) -> None:
    stack = start(data_dir / ("it's a long one " + "x" * 120), durable=False)
    try:
        assert await ask(stack.database_url, "select 1") == 1
        assert ping(stack.redis_url)
    finally:
        stack.stop()


async def test_given_addresses_start_nothing(data_dir: Path) -> None:
    stack = Stack(DataDir(data_dir), database_url="postgresql://db/x", redis_url="redis://r/0")
    assert (stack.database_url, stack.redis_url) == ("postgresql://db/x", "redis://r/0")
    assert processes_of(data_dir) == []
    stack.stop()


def test_configured_programs_that_do_not_exist(data_dir: Path) -> None:
    with pytest.raises(NotInstalled, match="POSTGRES_BIN"):
        Stack(DataDir(data_dir), redis_url="redis://r/0", postgres_bin=data_dir)
    with pytest.raises(NotInstalled, match="VALKEY_BIN"):
        Stack(DataDir(data_dir), database_url="postgresql://db/x", valkey_bin=data_dir / "none")


def test_a_server_that_does_not_start_says_why(data_dir: Path) -> None:
    start(data_dir, durable=False).stop()
    with next(data_dir.glob("pg*")).joinpath("postgresql.conf").open("a") as settings:
        settings.write("\nno_such_setting = 1\n")
    with pytest.raises(StackProblem, match="no_such_setting"):
        start(data_dir, durable=False)


def _python_of(user: list[str]) -> str:
    """A Python like ours that this user may run. Ours may be in a home folder that others cannot read."""
    system = f"/usr/bin/python3.{sys.version_info.minor}"
    for python in (sys.executable, system):
        tried = subprocess.run([*user, python, "-c", ""], capture_output=True, check=False)
        if tried.returncode == 0:
            return python
    pytest.skip("no interpreter of this version that an ordinary user may run")


@as_root
async def test_as_an_ordinary_user(data_dir: Path, hold: Hold) -> None:
    data_dir.mkdir()
    os.chown(data_dir, 65534, 65534)
    data_dir.parent.chmod(0o755)
    # The shell is needed because setpriv still has root's rights when it looks for the program.
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", 'exec "$0" "$@"']
    process = hold(data_dir, *user, python=_python_of(user))
    assert process.stdout
    database_url, redis_url = process.stdout.readline().split()
    assert await ask(database_url, "select 1") == 1
    assert ping(redis_url)
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in processes_of(data_dir)} == {65534}


@as_root
async def test_as_a_root_without_namespaces(data_dir: Path, hold: Hold) -> None:
    process = hold(data_dir, sys.executable, str(Path(__file__).with_name("no_namespaces.py")))
    assert process.stdout
    database_url, redis_url = process.stdout.readline().split()
    assert await ask(database_url, "select 1") == 1
    assert ping(redis_url)
    assert next(data_dir.glob("pg*")).stat().st_uid == 65534
