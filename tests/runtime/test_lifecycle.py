"""When a box ends, starts again and is removed."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.domain.workspace import Manifest
from app.runtime.channel import Patience
from app.runtime.local.boxes import LocalBox
from app.runtime.local.runtime import LocalRuntime
from app.runtime.runtime import Runtime
from app.runtime.workspace import (
    BoxDied,
    NoPlace,
    SandboxUnavailable,
    Workspace,
    WorkspaceMissing,
)
from app.runtime.worlds import BoxId
from tests.helpers.boxes import none_sleeps, on_every_kind, output_of
from tests.helpers.waiting import until

START_AND_HANG = """
import asyncio, sys, uuid
from pathlib import Path
from app.runtime.local.runtime import LocalRuntime
async def main():
    runtime = LocalRuntime(Path(sys.argv[1]), idle_s=60)
    workspace = await runtime.attach(uuid.UUID(sys.argv[2]), fence=5, create=True)
    await workspace.save("kept", b"by the dead")
    print("attached", flush=True)
    await workspace.run("sleep 987", timeout_s=600)
asyncio.run(main())
"""


@on_every_kind
async def test_many_may_wake_a_box_at_once(runtime: Runtime, job: UUID) -> None:
    await (await runtime.attach(job, create=True)).close()
    await runtime.stop(job)
    attached = await asyncio.gather(*[runtime.attach(job) for _ in range(8)])
    boxes = {await output_of(each, "readlink /proc/self/ns/pid") for each in attached}
    assert len(boxes) == 1
    for each in attached:
        await each.close()


async def test_an_idle_box_ends(tmp_path: Path, local_boxes: None) -> None:
    local = LocalRuntime(tmp_path / "boxes", idle_s=1)
    job = uuid4()
    api = await local.attach(job, create=True)
    await api.start_app(Manifest(start="exec python3 -m http.server -b 127.0.0.1 $PORT"))
    pid = _pid(LocalBox(tmp_path / "boxes", BoxId(job)))
    # A running call keeps the box awake, even if it takes longer than the idle time.
    assert (await api.run("sleep 2; echo on", timeout_s=20)).output == "on\n"
    await until(lambda: _gone(pid))
    assert (await local.status(job)).state == "asleep"
    worker = await local.attach(job, fence=1)
    await asyncio.sleep(0)
    with pytest.raises(BoxDied):
        await api.status()
    assert (await worker.app_status()).state == "none"
    await api.close()
    await worker.close()
    await local.close()
    pid = _pid(LocalBox(tmp_path / "boxes", BoxId(job)))
    await until(lambda: _gone(pid))


async def test_an_attached_worker_keeps_its_box_awake(tmp_path: Path, local_boxes: None) -> None:
    local = LocalRuntime(tmp_path / "boxes", idle_s=1)
    job = uuid4()
    worker = await local.attach(job, fence=1, create=True)
    began = time.monotonic()
    pid = _pid(LocalBox(tmp_path / "boxes", BoxId(job)))

    async def three_seconds_are_over() -> bool:
        return time.monotonic() - began > 3

    await until(three_seconds_are_over)
    assert not await _gone(pid)
    assert (await worker.status()).state == "running"
    await worker.close()
    await until(lambda: _gone(pid))
    await local.close()


def _pid(box: LocalBox) -> int:
    return int(json.loads((box.folder / "box.json").read_text())["child-pid"])


async def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return True
    return state == "Z"


async def test_a_box_outlives_the_death_of_its_starter(local: LocalRuntime, tmp_path: Path) -> None:
    job = uuid4()
    folder = tmp_path / "boxes"
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", START_AND_HANG, str(folder), str(job), stdout=subprocess.PIPE
    )
    assert starter.stdout is not None
    assert await starter.stdout.readline() == b"attached\n"
    pid = _pid(LocalBox(folder, BoxId(job)))
    starter.kill()
    await starter.wait()
    workspace = await local.attach(job, fence=5)
    assert _pid(LocalBox(folder, BoxId(job))) == pid
    assert not await _gone(pid)
    assert (await workspace.read("kept")).content == b"by the dead"
    await none_sleeps(workspace)
    await workspace.close()


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_dead_or_silent_guest_is_replaced(
    local: LocalRuntime, tmp_path: Path, sent: signal.Signals
) -> None:
    job = uuid4()
    first = await local.attach(job, create=True)
    await first.save("a", b"1")
    pid = _pid(LocalBox(tmp_path / "boxes", BoxId(job)))
    os.kill(pid, sent)

    async def it_took_effect() -> bool:
        return await local._running() == []

    await until(it_took_effect)
    second = await local.attach(job)
    assert (await second.read("a")).content == b"1"
    assert _pid(LocalBox(tmp_path / "boxes", BoxId(job))) != pid
    assert await _gone(pid)
    with pytest.raises(BoxDied):
        await first.read("a")
    await first.close()
    await second.close()


async def test_a_guest_that_falls_silent_is_declared_dead(tmp_path: Path, local_boxes: None) -> None:
    local = LocalRuntime(tmp_path / "boxes", idle_s=60, patience=Patience(ping_s=0.1, silence_s=0.5))
    job = uuid4()
    workspace = await local.attach(job, create=True)
    pid = _pid(LocalBox(tmp_path / "boxes", BoxId(job)))
    running = asyncio.create_task(workspace.run("sleep 60", timeout_s=60))
    await workspace.status()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(BoxDied):
        await running
    await until(lambda: _gone(pid))
    await workspace.close()
    await local.close()


async def test_destroying_leaves_nothing(local: LocalRuntime, tmp_path: Path) -> None:
    job = uuid4()
    worker = await local.attach(job, fence=1, create=True)
    await output_of(
        worker, "mkdir -p locked/in && touch locked/in/x && chmod 0 locked/in locked && ln -s /etc link"
    )
    pid = _pid(LocalBox(tmp_path / "boxes", BoxId(job)))
    await local.destroy(job)
    assert await _gone(pid)
    assert not (tmp_path / "boxes" / str(job)).exists()
    assert Path("/etc/passwd").exists()
    assert (await local.status(job)).state == "none"
    with pytest.raises(BoxDied):
        await worker.status()
    await local.destroy(job)
    await worker.close()


DEEPER = "import os\nfor _ in range(3000):\n os.mkdir('deeper'); os.chdir('deeper')\nos.chmod('.', 0)"


async def test_a_folder_deeper_than_any_path_is_removed_too(local: LocalRuntime, tmp_path: Path) -> None:
    job = uuid4()
    worker = await local.attach(job, create=True)
    await worker.run(f'python3 -c "{DEEPER}"', timeout_s=30)  # the disk limit may end it
    await worker.close()
    await local.destroy(job)
    assert not list((tmp_path / "boxes").iterdir())


async def test_a_failed_removal_is_reported(local: LocalRuntime, tmp_path: Path) -> None:
    box = LocalBox(tmp_path / "boxes", BoxId(uuid4()))
    await asyncio.to_thread(box.folder.parent.mkdir)
    await asyncio.to_thread(box.folder.write_text, "no folder")
    with pytest.raises(SandboxUnavailable, match="cannot be removed"):
        await local.destroy(box.id.job_id)


async def test_a_box_that_is_removed_meanwhile_raises_missing(local: LocalRuntime, tmp_path: Path) -> None:
    box = LocalBox(tmp_path / "boxes", BoxId(uuid4()))
    await asyncio.to_thread(box.create)
    noting = asyncio.create_task(asyncio.to_thread(box.note_fence, 1))
    starting = asyncio.create_task(local.attach(box.id.job_id))
    await asyncio.gather(*(local.destroy(box.id.job_id) for _ in range(8)))
    for each in (noting, starting):  # each may have come before or after the removal
        with contextlib.suppress(WorkspaceMissing):
            await each
    await local.destroy(box.id.job_id)
    with pytest.raises(WorkspaceMissing):
        await asyncio.to_thread(box.note_fence, 2)


async def test_at_the_limit_the_least_recently_used_box_sleeps(tmp_path: Path, local_boxes: None) -> None:
    local = LocalRuntime(tmp_path / "boxes", idle_s=60, max_boxes=2)
    one, two, three, four = (uuid4() for _ in range(4))
    attached: list[Workspace] = []
    for job in (one, two):
        workspace = await local.attach(job, create=True)
        await workspace.save("a", b"")
        attached.append(workspace)
    last = time.monotonic()

    async def a_second_is_over() -> bool:
        return time.monotonic() - last > 1

    await until(a_second_is_over)
    await attached[0].save("a", b"")  # used now, so that the other one is put to sleep
    attached.append(await local.attach(three, fence=1, create=True))
    states = {job: (await local.status(job)).state for job in (one, two, three)}
    assert states == {one: "running", two: "asleep", three: "running"}
    attached.append(await local.attach(one, fence=1))
    with pytest.raises(NoPlace, match="All 2 containers"):
        await local.attach(four, create=True)
    await local.close()
    await local.stop_all()
    assert {(await local.status(job)).state for job in (one, two, three)} == {"asleep"}


async def test_the_path_of_the_folder_may_be_long(tmp_path: Path, local_boxes: None) -> None:
    folder = tmp_path / ("a folder with spaces " + "and a long name " * 8) / "wörkspaces"
    local = LocalRuntime(folder, idle_s=60)
    workspace = await local.attach(uuid4(), create=True)
    assert await output_of(workspace, "pwd") == "/app"
    assert folder.stat().st_mode & 0o777 == 0o700
    await local.close()
    await local.stop_all()


async def test_where_no_box_can_be_made(tmp_path: Path) -> None:
    missing = LocalRuntime(tmp_path, bwrap=str(tmp_path / "none"))
    diagnosis = await missing.examine()
    assert not diagnosis.ok
    assert "apt install bubblewrap" in diagnosis.remedy
    with pytest.raises(SandboxUnavailable, match="no bubblewrap"):
        await missing.attach(uuid4(), create=True)
    stub = tmp_path / "bwrap"
    stub.write_text("#!/bin/sh\necho 'No permissions to create new namespace' >&2; exit 1\n")
    stub.chmod(0o755)
    refused = await LocalRuntime(tmp_path, bwrap=str(stub)).examine()
    assert not refused.ok
    assert refused.remedy
    assert "No permissions to create new namespace" in refused.detail
    assert list(tmp_path.iterdir()) == [stub]


async def test_an_examination_leaves_nothing(local: LocalRuntime, tmp_path: Path) -> None:
    diagnosis = await local.examine()
    assert diagnosis.ok
    assert "Python 3" in diagnosis.detail
    assert "git version" in diagnosis.detail
    assert list((tmp_path / "boxes").iterdir()) == []
