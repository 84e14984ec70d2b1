"""Fixtures with real boxes of each kind, on which the tests of the common interface run."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.runtime.channel import Patience
from app.runtime.docker.engine import Engine
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.local.runtime import LocalRuntime
from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace
from tests.helpers.boxes import (
    ENGINE,
    TIGHT,
    docker_boxes,
    docker_runtime,
    local_boxes,
    proxy,
    reasons,
    runtime,
)

__all__ = ["docker_boxes", "local_boxes", "proxy", "reasons", "runtime"]


@pytest.fixture
async def job(runtime: Runtime) -> AsyncIterator[UUID]:
    """The id of a job. Its box, if one is made, is removed after the test."""
    job_id = uuid4()
    yield job_id
    await runtime.destroy(job_id)


@pytest.fixture
async def workspace(runtime: Runtime, job: UUID) -> AsyncIterator[Workspace]:
    """A worker's attachment to a new box."""
    workspace = await runtime.attach(job, fence=1, create=True)
    yield workspace
    await workspace.close()


@pytest.fixture
async def docker(docker_boxes: None) -> AsyncIterator[DockerRuntime]:
    """A runtime with tight limits and its own instance name. All its boxes are removed afterwards."""
    runtime = docker_runtime(f"test-{uuid4().hex[:12]}", limits=TIGHT, max_boxes=2)
    yield runtime
    for job_id in await runtime.boxes():
        await runtime.destroy(job_id)
    await runtime.close()


@pytest.fixture
async def engine(docker_boxes: None) -> AsyncIterator[Engine]:
    engine = Engine(ENGINE)
    yield engine
    await engine.close()


@pytest.fixture
async def local(tmp_path: Path, local_boxes: None) -> AsyncIterator[LocalRuntime]:
    """A local runtime with a folder of its own. All its boxes are removed afterwards."""
    local = LocalRuntime(tmp_path / "boxes", idle_s=60, patience=Patience(greeting_s=2))
    yield local
    await local.close()
    await local.stop_all()
