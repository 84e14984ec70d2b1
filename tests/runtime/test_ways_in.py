"""How processes reach the guest of a container: its maker by the guest's stdin and stdout, others by a
relay."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from app.runtime.docker import hardening
from app.runtime.docker.engine import Container
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.workspace import SandboxUnavailable
from tests.helpers.boxes import ENGINE, docker_runtime, none_sleeps, output_of, proxied, sleepers
from tests.helpers.waiting import until

MAKE_AND_HANG = """
import asyncio, sys, uuid
from tests.helpers.boxes import docker_runtime
async def main():
    runtime = docker_runtime(sys.argv[1], host=sys.argv[2])
    workspace = await runtime.attach(uuid.UUID(sys.argv[3]), fence=5, create=True)
    await workspace.save("kept", b"by the dead")
    print("attached", flush=True)
    await workspace.run("sleep 987", timeout_s=600)
asyncio.run(main())
"""

INSTANCE = f"test-{uuid4().hex[:12]}"


@pytest.fixture
async def docker(docker_boxes: None) -> AsyncIterator[DockerRuntime]:
    runtime = docker_runtime(INSTANCE)
    yield runtime
    for job_id in await runtime.boxes():
        await runtime.destroy(job_id)
    await runtime.close()


async def test_the_maker_of_a_box_needs_no_relay(docker: DockerRuntime) -> None:
    relays = "grep -sl '^Uid:.1001' /proc/[0-9]*/status | wc -l"
    job = uuid4()
    maker = await docker.attach(job, fence=1, create=True)
    assert await output_of(maker, relays) == "0"
    other = await docker.attach(job, fence=1)
    assert await output_of(maker, relays) == "1"
    await maker.close()
    assert await output_of(other, relays) == "1"
    await other.close()


async def test_the_output_of_a_guest_that_does_not_start_is_reported(
    docker: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardening, "guest_boot", lambda: "import sys; sys.exit('no luck')")
    with pytest.raises(SandboxUnavailable, match="closed before its greeting: no luck"):
        await docker.attach(uuid4(), create=True)


async def test_a_box_outlives_the_death_of_its_maker_and_its_commands_do_not(docker: DockerRuntime) -> None:
    job = uuid4()
    where = proxied.get("host", ENGINE)
    maker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MAKE_AND_HANG, INSTANCE, where, str(job), stdout=subprocess.PIPE
    )
    assert maker.stdout is not None
    assert await maker.stdout.readline() == b"attached\n"
    successor = await docker.attach(job, fence=5)

    async def hangs() -> bool:
        return await sleepers(successor) > 0

    await until(hangs)
    maker.kill()
    await maker.wait()
    await none_sleeps(successor)
    assert (await successor.read("kept")).content == b"by the dead"
    await successor.close()


async def test_asking_for_the_status_of_a_box_does_not_wake_it(
    docker: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even if the box ends between two calls of the engine."""
    job = uuid4()
    await docker.attach(job, create=True)
    engine = docker._engine
    name = f"boardroom-{INSTANCE}-{job}"
    seen = [await engine.inspect(name)]
    await docker.stop(job)
    inspect = engine.inspect

    async def late(name: str) -> Container | None:
        return seen.pop() if seen else await inspect(name)

    monkeypatch.setattr(engine, "inspect", late)
    assert (await docker.status(job)).state == "asleep"
    assert seen == []
    found = await inspect(name)
    assert found is not None
    assert found.state == "exited"
