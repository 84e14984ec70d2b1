"""The test double `tests.twin` behaves as a runtime if it is only slow: some tests of the interface, run on
it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.runtime.local.runtime import LocalRuntime
from tests.runtime.test_commands import test_a_command_and_its_output, test_the_app_outlives_who_started_it
from tests.runtime.test_lifecycle import (
    test_a_fence_is_remembered_beyond_the_box,
    test_while_a_worker_is_attached_clients_may_only_read,
)
from tests.twin import Misfortune, Twin

__all__ = [
    "test_a_command_and_its_output",
    "test_a_fence_is_remembered_beyond_the_box",
    "test_the_app_outlives_who_started_it",
    "test_while_a_worker_is_attached_clients_may_only_read",
]


@pytest.fixture
async def runtime(tmp_path: Path, local_boxes: None) -> AsyncIterator[Twin]:
    twin = Twin(LocalRuntime(tmp_path / "boxes", idle_s=60), Misfortune(slow_s=0.01))
    yield twin
    await twin.stop_all()
    await twin.close()
