"""Visits to the app's box: they read its data while nobody uses it, and keep nobody awake."""

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
import structlog

from app.domain.errors import TooLarge
from app.domain.workspace import Manifest
from app.runtime.docker.deaths import Deathwatch
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.live_app import DataCopy
from app.runtime.local.runtime import LocalRuntime
from app.runtime.runtime import Runtime
from app.runtime.workspace import BoxDied, NoPlace, Workspace, WorkspaceBusy, WorkspaceMissing
from tests.helpers.boxes import docker_runtime, on_every_kind, output_of
from tests.helpers.waiting import until

MOST = 1 << 28


async def asleep_with_data(runtime: Runtime, job: UUID, megabytes: int = 0) -> tuple[str, bytes]:
    """Its commit, and the archive that setting the data aside gave."""
    app = await runtime.attach(job, fence=1, create=True)
    await app.save("/app/main.py", b"code")
    await app.save("/app/sample.json", b"shipped")
    head = (await app.commit("Begin", "Builder")).sha
    await output_of(app, "mkdir -p data/deep; echo milk > data/deep/entries; echo mine > sample.json")
    await output_of(app, "ln -s data link; mkdir -p src/__pycache__; touch src/__pycache__/a.pyc")
    await output_of(app, f"head -c {megabytes}M /dev/urandom > data/much")
    await app.set_aside(head)
    aside = b"".join([piece async for piece in app.aside()])
    await app.drop_aside()
    await app.close()
    await runtime.stop(job)
    return head, aside


async def state(runtime: Runtime, job: UUID) -> str:
    return (await runtime.status(job)).state


@on_every_kind
async def test_a_visit_reads_what_set_aside_gives_and_leaves_the_box_asleep(
    runtime: Runtime, job: UUID
) -> None:
    with pytest.raises(WorkspaceMissing):
        await runtime.visit(job)
    head, aside = await asleep_with_data(runtime, job)
    counted: list[DataCopy] = []
    visitor = await runtime.visit(job)
    read = b"".join([piece async for piece in visitor.read_unused(head, MOST, counted.append)])
    with pytest.raises(TooLarge):
        await anext(visitor.read_unused(head, 4, counted.append))
    assert await state(runtime, job) == "running"
    assert job in await runtime.awake()
    assert read == aside
    with tarfile.open(fileobj=io.BytesIO(read)) as archive:
        names = {member.name for member in archive}
    assert names == {"data", "data/deep", "data/deep/entries", "data/much", "sample.json", "link", "src"}
    assert [made.entries for made in counted] == [7]

    async def asleep() -> bool:
        return await state(runtime, job) == "asleep" and job not in await runtime.awake()

    await visitor.close()
    await until(asleep)


async def begun(visitor: Workspace, head: str) -> AsyncIterator[bytes]:
    reading = visitor.read_unused(head, MOST, lambda _: None)
    await anext(reading)
    return reading


@on_every_kind
async def test_a_visitor_gives_way_to_whoever_uses_the_box(runtime: Runtime, job: UUID) -> None:
    head, _ = await asleep_with_data(runtime, job, megabytes=20)
    visitor = await runtime.visit(job)
    reading = await begun(visitor, head)
    client = await runtime.attach(job)
    assert (await client.read("/app/data/deep/entries")).content == b"milk\n"
    with pytest.raises(WorkspaceBusy):
        async for _ in reading:
            pass
    running = asyncio.create_task(client.run("sleep 987", timeout_s=60))
    await client.status()
    with pytest.raises(WorkspaceBusy):
        await anext(visitor.read_unused(head, MOST, lambda _: None))
    running.cancel()
    await visitor.close()
    await client.status()
    assert await state(runtime, job) == "running", "the box is awake for the client"
    await client.close()


async def test_a_visitor_gives_way_to_a_worker(runtime: Runtime, job: UUID) -> None:
    head, _ = await asleep_with_data(runtime, job, megabytes=20)
    visitor = await runtime.visit(job)
    reading = await begun(visitor, head)
    worker = await runtime.attach(job, fence=2)
    with pytest.raises(WorkspaceBusy):
        async for _ in reading:
            pass
    with pytest.raises(WorkspaceBusy):
        await anext(visitor.read_unused(head, MOST, lambda _: None))
    await visitor.close()
    await worker.close()


async def test_a_visit_takes_no_place_from_others(tmp_path: Path, local_boxes: None) -> None:
    local = LocalRuntime(tmp_path / "boxes", idle_s=60, max_boxes=1)
    job, other = uuid4(), uuid4()
    await asleep_with_data(local, job)
    await (await local.attach(other, create=True)).close()
    with pytest.raises(NoPlace):
        await local.visit(job)
    assert await local.awake() == {other}
    await local.stop_all()
    await local.close()


async def test_a_visit_keeps_no_idle_box_awake(tmp_path: Path, local_boxes: None) -> None:
    """A frozen box is as idle after a visit as before; here is one that is awake."""
    local = LocalRuntime(tmp_path / "boxes", idle_s=2)
    job = uuid4()
    await (await local.attach(job, create=True)).close()

    async def visited_asleep() -> bool:
        if not await local.awake():
            return True
        visitor = await local.visit(job)
        with suppress(BoxDied):  # it was just about to end
            await visitor.head()
        await visitor.close()
        return False

    await until(visited_asleep, 15)
    await local.close()


async def test_a_frozen_box_is_read_and_frozen_again_with_its_app(docker_boxes: None) -> None:
    docker = docker_runtime(f"test-{uuid4().hex[:12]}", rest_s=2)
    job = uuid4()
    try:
        await _frozen(docker, job)
    finally:
        await docker.destroy(job)
        await docker.close()


async def _frozen(docker: DockerRuntime, job: UUID) -> None:
    app = await docker.attach(job, create=True)
    await app.save("/app/boardroom.json", b"{}")
    serve = "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8000, bind='127.0.0.1')"
    started = await app.start_app(Manifest(start=f'exec python3 -c "{serve}"'))
    assert started.answering, started.log_tail
    head = await app.head()
    assert head is not None
    await app.close()

    async def frozen() -> bool:
        await docker.rest()
        return await state(docker, job) == "asleep"

    await until(frozen)
    visitor = await docker.visit(job)
    assert [piece async for piece in visitor.read_unused(head.sha, MOST, lambda _: None)]
    await visitor.close()
    assert await state(docker, job) == "running"
    await docker.rest()
    assert await state(docker, job) == "asleep"
    app = await docker.attach(job)
    assert (await app.request("GET", "/boardroom.json")).status == 200
    assert (await app.app_status()).began == started.began
    await app.close()


async def test_the_end_of_a_box_that_nobody_is_attached_to_is_no_death() -> None:
    """A box that was woken for a visit ends with it."""
    asked, told = list[str](), list[str]()

    async def cause() -> str:
        asked.append("why")
        return "its container ended"

    box: Any = SimpleNamespace(name="box", cause_of_end=cause)
    gone: Any = SimpleNamespace(open=False, end=told.append)
    here: Any = SimpleNamespace(open=True, end=told.append)
    deaths = Deathwatch(SimpleNamespace())  # type: ignore[arg-type]
    deaths._listening = asyncio.create_task(asyncio.sleep(0))
    deaths._watched = {"box": [(box, gone)]}
    with structlog.testing.capture_logs() as logs:
        await deaths._tell("box")
    assert (asked, told, logs) == ([], [], [])
    deaths._watched = {"box": [(box, gone), (box, here)]}
    await deaths._tell("box")
    assert told == ["its container ended"]
    await deaths.close()
