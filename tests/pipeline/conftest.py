"""A box with nothing in it, for what needs no job."""

from collections.abc import AsyncIterator

import pytest
from uuid_utils.compat import uuid7

from app.runtime.workspace import Workspace
from tests.helpers.house import House


@pytest.fixture
async def box(house: House) -> AsyncIterator[Workspace]:
    job_id = uuid7()
    workspace = await house.resources.runtime.attach(job_id, fence=1, create=True)
    yield workspace
    await workspace.close()
    await house.resources.runtime.destroy(job_id)
