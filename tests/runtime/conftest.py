"""Fixtures with real boxes of each kind, on which the tests of the common interface run."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace
from tests.helpers.boxes import docker_boxes, local_boxes, proxy, reasons, runtime

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
