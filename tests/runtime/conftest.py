"""Real boxes. Whatever makes boxes is one entry of `MAKERS`, and every test of the contract runs on each.

Where one kind cannot be made its tests are skipped, and say why; in CI that is a failure.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID, uuid4

import pytest

from app.runtime.docker.find import USUAL_ENGINE, find_engine
from app.runtime.docker.hardening import DEFAULT_IMAGE, ContainerLimits, Recipe
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.local import LocalRuntime
from app.runtime.workspace import Runtime, Workspace
from tests.runtime.engine_proxy import NGINX, engine_proxy

ENGINE = find_engine(os.environ.get("DOCKER_HOST", "")) or USUAL_ENGINE
proxied: dict[str, str] = {}
"""`host`: the engine behind the proxy of `compose.yaml`, where there is one to start."""


def docker_runtime(instance: str, host: str = "", **settings: Any) -> DockerRuntime:
    """A runtime on the engine of this machine, with boxes of its own; through the proxy, where there is one,
    so that a call which it does not let through is seen here."""

    async def name() -> str:
        return instance

    image = settings.pop("image", os.environ.get("WORKSPACE_IMAGE", DEFAULT_IMAGE))
    limits = settings.pop("limits", ContainerLimits(idle_s=60))
    network = settings.pop("network", "none")
    oci_runtime = settings.pop("oci_runtime", "")
    return DockerRuntime(
        host or proxied.get("host", ENGINE),
        name,
        Recipe(image, limits, oci_runtime, network),
        **settings,
    )


MAKERS: dict[str, Callable[[Path], Runtime]] = {
    "local": lambda folder: LocalRuntime(folder, idle_s=60),
    "docker": lambda folder: docker_runtime(f"test-{uuid4().hex[:12]}"),
}


def unavailable(why: str) -> NoReturn:
    """Skip, or fail where nothing may be skipped."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session", autouse=True)
def proxy() -> Iterator[str | None]:
    """The engine's address behind the proxy; None where there is no nginx."""
    if NGINX is None:
        yield None
        return
    with engine_proxy(ENGINE) as proxied["host"]:
        yield proxied["host"]
    proxied.pop("host", None)  # rooms that borrow this fixture have one each


@pytest.fixture(scope="session")
async def reasons(proxy: str | None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of each kind of box why it cannot be made; "" when it can."""
    found = {}
    for kind, make in MAKERS.items():
        runtime = make(tmp_path_factory.mktemp("trial"))
        diagnosis = await runtime.examine()
        found[kind] = "" if diagnosis.ok else f"no {kind} boxes here: {diagnosis.detail} {diagnosis.remedy}"
        await runtime.close()
    return found


@pytest.fixture(scope="session")
def local_boxes(reasons: dict[str, str]) -> None:
    """For tests of what only the local runtime has."""
    if reasons["local"]:
        unavailable(reasons["local"])


@pytest.fixture(scope="session")
def docker_boxes(reasons: dict[str, str]) -> None:
    """For tests of what only the Docker runtime has."""
    if reasons["docker"]:
        unavailable(reasons["docker"])


@pytest.fixture(scope="session", params=MAKERS)
async def runtime(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, reasons: dict[str, str]
) -> AsyncIterator[Runtime]:
    if reasons[request.param]:
        unavailable(reasons[request.param])
    runtime = MAKERS[request.param](tmp_path_factory.mktemp("boxes"))
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
