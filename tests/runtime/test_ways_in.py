"""The ways into a container: its own stdin and stdout for whoever made it, a relay for everybody else."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from app.runtime.docker import hardening
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.workspace import SandboxUnavailable
from tests.runtime.conftest import docker_runtime, output_of


@pytest.fixture
async def docker(docker_boxes: None) -> AsyncIterator[DockerRuntime]:
    runtime = docker_runtime(f"test-{uuid4().hex[:12]}")
    yield runtime
    for job_id in await runtime.boxes():
        await runtime.destroy(job_id)
    await runtime.close()


async def test_whoever_makes_a_box_needs_no_relay(docker: DockerRuntime) -> None:
    relays = "grep -sl '^Uid:.1001' /proc/[0-9]*/status | wc -l"
    job = uuid4()
    maker = await docker.attach(job, fence=1, create=True)
    assert await output_of(maker, relays) == "0"
    other = await docker.attach(job, fence=1)
    assert await output_of(maker, relays) == "1"
    await maker.close()
    assert await output_of(other, relays) == "1"
    await other.close()


async def test_what_a_guest_says_that_does_not_come_up_is_told(
    docker: DockerRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardening, "BOOT", "import sys; sys.exit('no luck')")
    with pytest.raises(SandboxUnavailable, match="closed before its greeting: no luck"):
        await docker.attach(uuid4(), create=True)
