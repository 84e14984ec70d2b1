"""Which processes may attach to a box, and which attachments are ended."""

import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.runtime.channel import attach
from app.runtime.local.boxes import LocalBox
from app.runtime.local.runtime import LocalRuntime
from app.runtime.runtime import Runtime
from app.runtime.workspace import (
    BoxDied,
    FenceLost,
    WorkspaceBusy,
)
from app.runtime.worlds import BoxId
from tests.helpers.boxes import none_sleeps, on_every_kind, sleepers


@on_every_kind
async def test_a_higher_fence_ends_the_lower_and_its_commands(runtime: Runtime, job: UUID) -> None:
    old = await runtime.attach(job, fence=10, create=True)
    started = asyncio.Event()
    running = asyncio.create_task(old.run("echo; sleep 987", timeout_s=60, on_output=lambda _: started.set()))
    await started.wait()
    new = await runtime.attach(job, fence=11)
    assert await sleepers(new) == 0
    with pytest.raises(FenceLost):
        await running
    with pytest.raises(FenceLost):
        await old.save("late", b"")
    with pytest.raises(FenceLost):
        await runtime.attach(job, fence=10)
    same = await runtime.attach(job, fence=11)
    await same.save("a", b"")
    for workspace in (old, new, same):
        await workspace.close()


@on_every_kind
async def test_a_fence_is_remembered_beyond_the_box(runtime: Runtime, job: UUID) -> None:
    await (await runtime.attach(job, fence=8, create=True)).close()
    await runtime.stop(job)
    with pytest.raises(FenceLost):
        await runtime.attach(job, fence=7)
    await (await runtime.attach(job, fence=8)).close()


def test_a_worker_killed_as_it_notes_its_fence_does_not_lose_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def write(path: Path, _: str) -> None:
        path.open("w").close()  # emptied, not yet written
        raise Killed

    box = LocalBox(tmp_path, BoxId(uuid4()))
    box.create()
    box.note_fence(8)
    monkeypatch.setattr(Path, "write_text", write)
    with pytest.raises(Killed):
        box.note_fence(9)
    monkeypatch.undo()
    with pytest.raises(FenceLost):
        box.note_fence(7)


async def test_the_guest_itself_refuses_a_lower_fence(local: LocalRuntime, tmp_path: Path) -> None:
    """A worker may have checked its fence before a newer worker came, and connect only after that."""
    job = uuid4()
    new = await local.attach(job, fence=11, create=True)
    connection = await asyncio.to_thread(LocalBox(tmp_path / "boxes", BoxId(job)).connect)
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    with pytest.raises(FenceLost):
        await attach(reader, writer, fence=10)
    assert (await new.status()).state == "running"
    await new.close()


@on_every_kind
async def test_while_a_worker_is_attached_clients_may_only_read(runtime: Runtime, job: UUID) -> None:
    worker = await runtime.attach(job, fence=1, create=True)
    api = await runtime.attach(job)
    await worker.save("a", b"1")
    with pytest.raises(WorkspaceBusy):
        await api.save("a", b"2")
    with pytest.raises(WorkspaceBusy):
        await api.delete("a")
    with pytest.raises(WorkspaceBusy):
        await runtime.stop(job)
    assert (await api.read("a")).content == b"1"
    await worker.close()
    await api.save("a", b"2")
    await runtime.stop(job)
    assert (await runtime.status(job)).state == "asleep"
    await runtime.stop(job)
    with pytest.raises(BoxDied):
        await api.read("a")
    await api.close()
    woken = await runtime.attach(job)
    assert (await woken.read("a")).content == b"2"
    await woken.close()


@on_every_kind
async def test_a_closed_attachment_ends_its_commands_only(runtime: Runtime, job: UUID) -> None:
    first = await runtime.attach(job, fence=1, create=True)
    second = await runtime.attach(job, fence=1)
    started = asyncio.Event()
    other = asyncio.create_task(second.run("sleep 1; echo whole", timeout_s=20))
    running = asyncio.create_task(
        first.run("echo; sleep 987", timeout_s=60, on_output=lambda _: started.set())
    )
    await started.wait()
    await first.close()
    with pytest.raises(BoxDied):
        await running
    await none_sleeps(second)
    assert (await other).output == "whole\n"
    await second.close()
