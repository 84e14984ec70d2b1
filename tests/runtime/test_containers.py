"""Tests of containers only: how they start, sleep and end on an engine."""

import asyncio
import os
import time
from uuid import UUID, uuid4

import aiodocker
import pytest
import structlog

from app.domain.workspace import Manifest
from app.runtime.docker.boxes import MAKE_IMAGE, DockerBox, Fleet
from app.runtime.docker.engine import Engine, EngineRefused
from app.runtime.docker.hardening import DEFAULT_IMAGE, ContainerLimits, Recipe
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.docker.trial import BEGAN, LOOK, TRIAL_S
from app.runtime.guest.boot import INSTALLED
from app.runtime.packing import guest_digest
from app.runtime.runtime import Runtime
from app.runtime.workspace import BoxDied, NoPlace, SandboxUnavailable, Workspace, WorkspaceMissing
from app.runtime.worlds import BoxId
from tests.helpers.boxes import CGROUP, ENGINE, TIGHT, docker_runtime, output_of
from tests.helpers.waiting import until


async def test_the_status_of_a_box_on_the_engine(docker: DockerRuntime) -> None:
    job = uuid4()
    workspace = await docker.attach(job, create=True)
    async with aiodocker.Docker(ENGINE) as engine:
        [found] = await engine.containers.list(filters={"label": [f"boardroom.job={job}"]})
        said = await found.show()
    host = said["HostConfig"]
    assert said["Config"]["User"] == "1000:1000"
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert (host["Privileged"], host["ReadonlyRootfs"], host["NetworkMode"]) == (False, True, "none")
    assert host["MemorySwap"] == host["Memory"] == TIGHT.memory_bytes
    assert host["LogConfig"]["Type"] == "none"
    assert sorted(mount["Destination"] for mount in said["Mounts"]) == ["/app", "/scratch"]
    assert {mount["Type"] for mount in said["Mounts"]} == {"volume"}
    assert not host["Binds"]
    assert not host["PortBindings"]
    await workspace.close()


async def test_the_image_has_the_guest_installed(docker: DockerRuntime) -> None:
    workspace = await docker.attach(uuid4(), create=True)
    said = await workspace.run(
        f"stat -c '%U %a' {INSTALLED}/{guest_digest()}/guest/__pycache__/main.*", timeout_s=10
    )
    assert (said.exit_code, said.output) == (0, "root 644\n"), f"{said.output} {MAKE_IMAGE}"
    await workspace.close()


async def test_a_killed_box_is_reported_and_made_again(docker: DockerRuntime, engine: Engine) -> None:
    job = uuid4()
    worker = await docker.attach(job, fence=1, create=True)
    await worker.save("a", b"1")
    running = asyncio.create_task(worker.run("sleep 60", timeout_s=60))
    await worker.status()
    name = await _name(engine, job)
    with structlog.testing.capture_logs() as logs:
        await engine.kill(name)
        with pytest.raises(BoxDied, match="its container was killed"):
            await running

        async def heard() -> bool:
            return any(each.get("cause") == "its container was killed" for each in logs)

        await until(heard)  # from the engine's events, even if the stream does not end
    assert (await docker.status(job)).problem == "The container was killed."
    await engine.remove(name)
    again = await docker.attach(job, fence=2)
    assert (await again.read("a")).content == b"1"
    await worker.close()
    await again.close()


async def test_a_paused_box_is_woken(docker: DockerRuntime, engine: Engine) -> None:
    job = uuid4()
    await (await docker.attach(job, fence=1, create=True)).save("a", b"1")
    await engine.pause(await _name(engine, job))
    assert (await docker.status(job)).state == "asleep"
    woken = await docker.attach(job, fence=2)
    assert (await woken.read("a")).content == b"1"
    await woken.close()


async def test_an_idle_box_ends_and_wakes_with_its_files_but_no_processes(
    docker_boxes: None, engine: Engine
) -> None:
    runtime = docker_runtime(f"test-{uuid4().hex[:12]}", limits=ContainerLimits(idle_s=1))
    job = uuid4()
    api = await runtime.attach(job, create=True)
    await api.save("a", b"1")
    left = "cd /scratch && ln -s /app link && mkdir locked && touch locked/x && chmod 0 locked"
    await api.run(left, timeout_s=10)

    async def asleep() -> bool:
        return (await runtime.status(job)).state == "asleep"

    await until(asleep)  # asking for the status does not keep it awake
    woken = await runtime.attach(job)
    assert (await woken.read("a")).content == b"1"
    assert await output_of(woken, "ls -A /scratch /scratch/home") == "/scratch:\nhome\n\n/scratch/home:"
    await runtime.destroy(job)
    await runtime.close()


async def test_an_idle_box_is_frozen_and_wakes_in_an_instant(docker_boxes: None, engine: Engine) -> None:
    runtime = docker_runtime(f"test-{uuid4().hex[:12]}", limits=ContainerLimits(idle_s=4), rest_s=0.5)
    job = uuid4()
    api = await runtime.attach(job, create=True)
    began = (await api.start_app(Manifest(start="exec python3 -m http.server -b 127.0.0.1 $PORT"))).state
    assert began == "answering"
    name = await _name(engine, job)

    async def frozen() -> bool:
        await runtime.rest()
        found = await engine.inspect(name)
        return found is not None and found.state == "paused"

    await until(frozen)
    slept = time.monotonic()

    async def longer_than_an_idle_box_lives() -> bool:
        return time.monotonic() - slept > 5

    await until(longer_than_an_idle_box_lives)
    woken = await runtime.attach(job)
    assert (await woken.app_status()).answering
    assert await _name(engine, job) == name
    worker = await runtime.attach(job, fence=1)
    await runtime.rest()
    assert (await worker.run("true", timeout_s=5)).exit_code == 0, "a box at work is left alone"
    await worker.close()
    await runtime.destroy(job)
    await runtime.close()


async def test_an_engine_that_cannot_freeze_is_tidied_all_the_same(
    docker_boxes: None, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rootless one without cgroups."""
    asked = []

    async def refuse(_: Engine, name: str) -> None:
        asked.append(name)
        raise EngineRefused(aiodocker.DockerError(500, "cgroups not configured for container"))

    monkeypatch.setattr(Engine, "pause", refuse)
    runtime = docker_runtime(f"test-{uuid4().hex[:12]}", rest_s=0)
    job, old = uuid4(), f"boardroom-trial-{uuid4()}-app"
    await (await runtime.attach(job, create=True)).close()
    await engine.create_volume(old, {BEGAN: str(int(time.time()) - TRIAL_S - 60)})
    await runtime.rest()
    assert asked == [await _name(engine, job)]
    assert await engine.volume(old) is None
    await runtime.destroy(job)
    await runtime.close()


async def test_an_examination_sees_whether_limits_hold(runtime: Runtime, workspace: Workspace) -> None:
    """A local box has no cgroup of its own, like a container of an engine that has none to give."""
    said = await workspace.run(LOOK, timeout_s=20)
    assert said.exit_code == 0
    assert ("no limit" in said.output) == (runtime.kind == "local")


async def test_a_box_of_another_version_is_replaced(docker: DockerRuntime, engine: Engine) -> None:
    job = uuid4()
    old = await docker.attach(job, create=True)
    await old.save("a", b"1")
    instance = (await _labels(engine, job))["boardroom.instance"]
    newer = docker_runtime(instance, limits=ContainerLimits(idle_s=60, processes=99))
    worker = await newer.attach(job, fence=1)
    assert await output_of(worker, CGROUP.format("pids.max", "pids/pids.max")) == "99"
    assert (await worker.read("a")).content == b"1"
    await worker.close()
    await newer.close()


async def test_at_the_limit_the_box_that_is_idle_longest_sleeps(docker: DockerRuntime) -> None:
    one, two, three, four = (uuid4() for _ in range(4))
    for job in (one, two):
        await (await docker.attach(job, create=True)).save("a", b"")
    made = time.monotonic()

    async def a_second_is_over() -> bool:
        return time.monotonic() - made > 1

    await until(a_second_is_over)
    await (await docker.attach(one)).save("a", b"2")
    third = await docker.attach(three, fence=1, create=True)
    assert {job: (await docker.status(job)).state for job in (one, two, three)} == {
        one: "running", two: "asleep", three: "running",
    }  # fmt: skip
    first = await docker.attach(one, fence=1)
    with pytest.raises(NoPlace, match="All 2 containers"):
        await docker.attach(four, create=True)
    for workspace in (first, third):
        await workspace.close()


async def test_only_our_own_is_touched_and_nothing_of_it_is_left(
    docker: DockerRuntime, engine: Engine
) -> None:
    job, other_job = uuid4(), uuid4()
    other = docker_runtime(f"test-{uuid4().hex[:12]}", limits=TIGHT)
    theirs = await other.attach(other_job, fence=1, create=True)
    ours = await docker.attach(job, fence=1, create=True)
    assert await docker.boxes() == {job}
    with pytest.raises(WorkspaceMissing):
        await docker.attach(other_job)
    await docker.destroy(other_job)
    await docker.stop_all()
    with pytest.raises(BoxDied):
        await ours.read("a")
    assert (await theirs.run("true", timeout_s=10)).exit_code == 0
    await docker.destroy(job)
    await docker.destroy(job)
    assert await docker.boxes() == set()
    assert await engine.containers({"boardroom.job": str(job)}) == {}
    assert await engine.volumes({"boardroom.job": str(job)}) == {}
    for workspace in (ours, theirs):
        await workspace.close()
    await other.destroy(other_job)
    await other.close()


async def test_where_no_engine_answers_or_the_image_is_missing(docker_boxes: None) -> None:
    away = docker_runtime("test", host="unix:///nonexistent/docker.sock")
    diagnosis = await away.examine()
    assert not diagnosis.ok
    assert "does not answer at unix:///nonexistent" in diagnosis.detail
    with pytest.raises(SandboxUnavailable):
        await away.attach(uuid4(), create=True)
    await away.close()
    bare = docker_runtime("test", image="nowhere/none:1")
    diagnosis = await bare.examine()
    assert not diagnosis.ok
    assert "make workspace-image" in diagnosis.remedy
    job = uuid4()
    with pytest.raises(SandboxUnavailable, match="make workspace-image"):
        await bare.attach(job, create=True)
    await bare.destroy(job)
    await bare.close()


async def test_left_over_trial_boxes_are_removed_when_they_are_old(
    docker: DockerRuntime, engine: Engine
) -> None:
    image = os.environ.get("WORKSPACE_IMAGE", DEFAULT_IMAGE)
    left = {}
    for age in (0, TRIAL_S + 60):
        marks = {BEGAN: str(int(time.time()) - age)}
        box = DockerBox(Fleet(engine, f"trial-{uuid4().hex[:12]}", Recipe(image), marks), BoxId(uuid4()))
        await box.awake(None)  # which makes missing volumes
        _, writer = await box.open()
        writer.close()
        left[age] = box
    young, old = left.values()
    await docker.rest()
    assert await old.inspect() is None
    assert not await old.exists()
    assert (await young.awake(await young.inspect())).state == "running", "somebody may still be at it"
    await young.remove()


async def _name(engine: Engine, job: UUID) -> str:
    [name] = await engine.containers({"boardroom.job": str(job)})
    return name


async def _labels(engine: Engine, job: UUID) -> dict[str, str]:
    [container] = (await engine.containers({"boardroom.job": str(job)})).values()
    return dict(container.labels)
