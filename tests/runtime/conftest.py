"""Real boxes. Whatever makes boxes is one entry of `MAKERS`, and every test of the contract runs on each."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from app.runtime.local import LocalRuntime
from app.runtime.workspace import Runtime, Workspace

MAKERS: dict[str, Callable[[Path], Runtime]] = {"local": lambda folder: LocalRuntime(folder, idle_s=60)}


@pytest.fixture(scope="session", params=MAKERS)
async def runtime(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Runtime]:
    runtime = MAKERS[request.param](tmp_path_factory.mktemp("boxes"))
    diagnosis = await runtime.examine()
    if not diagnosis.ok:
        pytest.skip(f"{diagnosis.detail} {diagnosis.remedy}")
    yield runtime
    await runtime.close()


@pytest.fixture
async def job(runtime: Runtime) -> AsyncIterator[UUID]:
    """A job whose box, if one is made, is gone after the test."""
    job_id = uuid4()
    yield job_id
    await runtime.destroy(job_id)


@pytest.fixture
async def workspace(runtime: Runtime, job: UUID) -> AsyncIterator[Workspace]:
    """A worker's attachment to a new box."""
    workspace = await runtime.attach(job, fence=1, create=True)
    yield workspace
    await workspace.close()


async def until(condition: Callable[[], Awaitable[object]], within_s: float = 20) -> None:
    """Wait for a condition, not for a time."""
    end = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.02)


async def output_of(workspace: Workspace, command: str) -> str:
    """What a command says that has to succeed."""
    result = await workspace.run(command, timeout_s=30)
    assert result.exit_code == 0, result
    return result.output.strip()


async def sleepers(workspace: Workspace) -> int:
    """How many `sleep 987` there are in the box: what tests leave running, to see it ended. (Brackets keep
    grep from finding itself.)"""
    return int(await output_of(workspace, "grep -slzx '[9]87' /proc/[0-9]*/cmdline | wc -l"))


async def none_sleeps(workspace: Workspace) -> None:
    async def none() -> bool:
        return await sleepers(workspace) == 0

    await until(none)
