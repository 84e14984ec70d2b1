"""What a job's code can do to its box, to its guest and to this machine, tried with real hostile programs."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from app.domain.errors import Conflict, Forbidden, NotFound
from app.domain.workspace import Manifest
from app.runtime.local.boxes import BoxLimits
from app.runtime.local.runtime import LocalRuntime
from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace
from tests.helpers.boxes import none_sleeps, output_of
from tests.helpers.waiting import until

MIB = 1024 * 1024
SWAP = """
import ctypes, os, time
exchange = lambda one, other: ctypes.CDLL(None).renameat2(-100, one, -100, other, 2)
os.makedirs("/scratch/outside")
open("/scratch/outside/file", "w").write("outside")
os.symlink("/scratch/outside", "/app/absolute")
os.symlink("../scratch/outside", "/app/relative")
os.mkdir("/app/d")
open("/app/d/file", "w").write("inside")
print("swapping", flush=True)
end = time.time() + 3
while time.time() < end:
    for link in (b"/app/absolute", b"/app/relative"):
        assert exchange(b"/app/d", link) == 0
        assert exchange(b"/app/d", link) == 0
"""


@pytest.fixture
async def tight(tmp_path: Path, local_boxes: None) -> AsyncIterator[Workspace]:
    """A worker's attachment to a box with low limits."""
    local = LocalRuntime(
        tmp_path, limits=BoxLimits(60, memory_bytes=300 * MIB, disk_bytes=30 * MIB, processes=60)
    )
    workspace = await local.attach(uuid4(), fence=1, create=True)
    yield workspace
    await local.close()
    await local.stop_all()


@pytest.fixture
async def local(tmp_path: Path, local_boxes: None) -> AsyncIterator[Workspace]:
    local = LocalRuntime(tmp_path, idle_s=60)
    workspace = await local.attach(uuid4(), fence=1, create=True)
    yield workspace
    await local.close()
    await local.stop_all()


async def test_a_job_has_no_powers(workspace: Workspace) -> None:
    status = await output_of(workspace, "grep -E '^(Cap|NoNewPrivs)' /proc/self/status; id -u; id -G")
    lines = status.split("\n")
    assert [line.split()[1] for line in lines[:6]] == ["0" * 16] * 5 + ["1"]
    assert "0" not in lines[6:]
    for forbidden in (
        "mount -t tmpfs none /tmp",
        "touch /usr/x",
        "touch /x",
        "touch /etc/x",
        "touch /dev/x",
        "mknod /app/d b 7 0",
        "unshare -Ur true",
        "unshare -m true",
        "chroot /app",
        "echo 1 > /proc/sys/kernel/panic",
        "echo b > /proc/sysrq-trigger",
        "cat /proc/1/environ /proc/1/maps",
        "ls /proc/1/fd",
        "ls /proc/$PPID/fd",
        "kill -9 1 && kill -STOP 1 && false",
    ):
        assert (await workspace.run(forbidden, timeout_s=10)).exit_code != 0, forbidden


async def test_a_job_sees_nothing_of_ours(
    workspace: Workspace, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "canary-4711")
    other_id = uuid4()
    other = await runtime.attach(other_id, create=True)
    try:
        assert "canary" not in await output_of(other, "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'")
        names = (await output_of(other, "env | cut -d= -f1 | grep -v LD_LIBRARY_PATH | sort")).split()
        own = ["HOME", "LANG", "PATH", "PORT", "PWD", "PYTHONUNBUFFERED", "TERM", "USER"]
        assert [name for name in names if name in own] == own
        if runtime.kind == "local":
            assert names == own
        assert not any(name.startswith("BOARDROOM") for name in names)
        assert (
            await output_of(other, "ls -A /app /home /root /mnt /srv 2>/dev/null | grep -v ':$'; true") == ""
        )
        assert await output_of(other, "ls /proc/self/fd") == "0\n1\n2\n3"
        assert await output_of(other, "readlink /proc/self/fd/0") == "/dev/null"
        processes = await output_of(other, "ls /proc | grep '^[0-9]' | wc -l")
        assert int(processes) < 10
    finally:
        await other.close()
        await runtime.destroy(other_id)


async def test_a_local_box_has_little_of_this_machine(local: Workspace) -> None:
    known = ("alternatives", "group", "hosts", "ld.so.cache", "localtime", "mime.types", "passwd")
    made = ("group", "hosts", "passwd")
    there = sorted(name for name in known if name in made or os.path.exists(f"/etc/{name}"))
    listed = await output_of(local, "ls -A /app; ls /home /root /var /run /srv 2>/dev/null; ls /etc")
    assert listed == "\n".join(there)
    assert await output_of(local, "ls /sys 2>/dev/null | wc -l") == "0"


async def test_a_box_has_no_network(workspace: Workspace) -> None:
    seen = await output_of(
        workspace,
        "tail -n +3 /proc/net/dev | cut -d: -f1; wc -l < /proc/net/route",
    )
    assert seen.split() == ["lo", "1"]
    reach = "import socket; socket.create_connection(('169.254.169.254', 80), 2)"
    assert "unreachable" in (await workspace.run(f'python3 -c "{reach}"', timeout_s=10)).output


async def test_killing_everything_ends_the_command_and_not_the_guest(workspace: Workspace) -> None:
    app = await workspace.start_app(Manifest(start="exec python3 -m http.server -b 127.0.0.1 $PORT"))
    assert app.answering
    result = await workspace.run(
        "setsid sh -c 'trap \"\" HUP; sleep 987' & kill -9 -1; sleep 987", timeout_s=20
    )
    assert result.exit_code is None

    async def app_back() -> bool:
        return (await workspace.app_status()).answering

    await none_sleeps(workspace)
    await until(app_back)


async def test_killing_only_the_supervisor_leaves_no_orphan(workspace: Workspace) -> None:
    await workspace.run("setsid sleep 987 & kill -9 $(cut -d' ' -f4 /proc/$$/stat); sleep 987", timeout_s=20)
    await none_sleeps(workspace)


async def test_a_fork_bomb_is_contained(tight: Workspace) -> None:
    bomb = asyncio.create_task(tight.run("b() { b | b & sleep 0.01; }; b; sleep 30", timeout_s=2))
    for _ in range(10):
        await tight.status()
    result = await bomb
    assert result.exit_code != 0 or result.timed_out

    async def calm() -> bool:
        return (await tight.run("true", timeout_s=5)).exit_code == 0

    await until(calm)


async def test_memory_is_limited_and_the_largest_command_ends(tight: Workspace) -> None:
    small = asyncio.create_task(tight.run("sleep 2; echo survived", timeout_s=20))
    eater = (
        "python3 -c \"x=[]\nwhile 1: x.append(bytearray(b'x') * (5 << 20)); __import__('time').sleep(0.02)\""
    )
    result = await tight.run(eater, timeout_s=20)
    assert (result.exit_code, result.timed_out) == (None, False)
    assert "memory limit" in result.output
    assert (await small).output == "survived\n"


async def test_the_folder_is_limited(tight: Workspace) -> None:
    result = await tight.run(
        "for i in 1 2 3 4 5; do head -c 20000000 /dev/zero > f$i; sleep 0.2; done; sleep 60", timeout_s=30
    )
    assert result.exit_code is None
    assert "disk limit" in result.output


async def test_temporary_folders_are_limited(workspace: Workspace) -> None:
    result = await workspace.run("head -c 400000000 /dev/zero > /tmp/full; rm /tmp/full", timeout_s=30)
    assert "No space left" in result.output
    assert (
        "No space left"
        in (
            await workspace.run("head -c 99000000 /dev/zero > /dev/shm/x; rm /dev/shm/x", timeout_s=30)
        ).output
    )


async def test_a_flood_of_output_does_not_slow_other_calls(workspace: Workspace) -> None:
    flood = asyncio.create_task(workspace.run("yes", timeout_s=2))
    for _ in range(20):
        await workspace.save("a", b"x" * 10_000)
        await workspace.list("/app", 100)
    assert (await flood).timed_out


async def test_no_link_exchanged_during_a_request_leads_out_of_the_workspace(workspace: Workspace) -> None:
    """The job exchanges a folder for links out of /app as fast as it can, during reads, saves and
    listings."""
    await workspace.save("swap.py", SWAP.encode())
    started = asyncio.Event()
    swapping = asyncio.create_task(
        workspace.run("python3 swap.py", timeout_s=30, on_output=lambda _: started.set())
    )
    await started.wait()
    answers = {"inside": 0, "refused": 0, "saved": 0}

    async def read() -> None:
        assert (await workspace.read("d/file")).content == b"inside"
        answers["inside"] += 1

    async def save() -> None:
        await workspace.save("d/new", b"x")
        answers["saved"] += 1

    async def listing() -> None:
        names = [node.name for node in (await workspace.list("d", 10)).structure]
        assert set(names) <= {"file", "new"}

    while not swapping.done():
        for attempt in (read, save, listing):
            try:
                await attempt()
            except (Forbidden, NotFound, Conflict):
                answers["refused"] += 1
    assert (await swapping).exit_code == 0
    assert all(answers.values()), answers
    assert await output_of(workspace, "ls /scratch/outside; cat /scratch/outside/file") == "file\noutside"
