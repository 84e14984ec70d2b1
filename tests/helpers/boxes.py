"""Real boxes. `MAKERS` has one entry for each kind of box, and tests of the common interface
run on each kind.

Tests of a kind that cannot be made on this machine are skipped with the reason; in CI they fail.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from uuid import uuid4

import pytest

from app.runtime.docker.find import USUAL_ENGINE, find_engine
from app.runtime.docker.hardening import DEFAULT_IMAGE, MIB, ContainerLimits, Recipe
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.local.runtime import LocalRuntime
from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace
from tests.helpers.engine_proxy import NGINX, engine_proxy
from tests.helpers.plain import PlainRuntime
from tests.helpers.twin import Misfortune, Twin
from tests.helpers.waiting import until

TIGHT = ContainerLimits(
    idle_s=60,
    memory_bytes=200 * MIB,
    cpus=0.5,
    processes=64,
    disk_bytes=40 * MIB,
    tmp_bytes=20 * MIB,
    shm_bytes=10 * MIB,
    open_files=256,
)
CGROUP = "cat /sys/fs/cgroup/{0} 2>/dev/null || cat /sys/fs/cgroup/{1}"

ENGINE = find_engine(os.environ.get("DOCKER_HOST", "")) or USUAL_ENGINE
proxied: dict[str, str] = {}
"""`host`: the address of the engine behind the proxy of `compose.yaml`, if that could be started."""


def docker_runtime(instance: str, host: str = "", **settings: Any) -> DockerRuntime:
    """A runtime on this machine's engine, with boxes of its own. It uses the proxy if there is one, so that a
    test fails if the proxy refuses a call that the runtime needs."""

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

TWIN = "twin"
"""A kind of box like local ones, but slow."""

KINDS = {**MAKERS, "plain": PlainRuntime}

on_every_kind = pytest.mark.parametrize("runtime", [*KINDS, TWIN], indirect=True, scope="session")
"""For tests that show that the smallest kind of box (`tests.helpers.plain`), and one that is only slow,
behave as a runtime should."""

also_on_a_twin = pytest.mark.parametrize("runtime", [*MAKERS, TWIN], indirect=True, scope="session")


def unavailable(why: str) -> NoReturn:
    """Skip the test, or fail it where no test may be skipped."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session", autouse=True)
def proxy() -> Iterator[str | None]:
    """The address of the proxy in front of the engine; None without nginx."""
    if NGINX is None:
        yield None
        return
    with engine_proxy(ENGINE) as proxied["host"]:
        yield proxied["host"]
    proxied.pop("host", None)  # other packages of tests use this fixture, too, and start a proxy each


@pytest.fixture(scope="session")
async def reasons(proxy: str | None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Why each kind of box cannot be made here; empty if it can."""
    found = {}
    for kind, make in KINDS.items():
        runtime = make(tmp_path_factory.mktemp("trial"))
        diagnosis = await runtime.examine()
        found[kind] = "" if diagnosis.ok else f"no {kind} boxes here: {diagnosis.detail} {diagnosis.remedy}"
        await runtime.close()
    return found


@pytest.fixture(scope="session")
def local_boxes(reasons: dict[str, str]) -> None:
    """For tests that are about local boxes only."""
    if reasons["local"]:
        unavailable(reasons["local"])


@pytest.fixture(scope="session")
def docker_boxes(reasons: dict[str, str]) -> None:
    """For tests that are about containers only."""
    if reasons["docker"]:
        unavailable(reasons["docker"])


@pytest.fixture(scope="session", params=MAKERS)
async def runtime(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, reasons: dict[str, str]
) -> AsyncIterator[Runtime]:
    """Made once for each kind of box."""
    kind = "local" if request.param == TWIN else request.param
    if reasons[kind]:
        unavailable(reasons[kind])
    runtime: Runtime = KINDS[kind](tmp_path_factory.mktemp("boxes"))
    if request.param == TWIN:
        runtime = Twin(runtime, Misfortune(slow_s=0.01))
    yield runtime
    await runtime.close()
    if request.param == "plain":
        await runtime.stop_all()


async def output_of(workspace: Workspace, command: str) -> str:
    """The output of a command, which must succeed."""
    result = await workspace.run(command, timeout_s=30)
    assert result.exit_code == 0, result
    return result.output.strip()


async def sleepers(workspace: Workspace) -> int:
    """How many `sleep 987` run in the box. Tests start this command to see that it is ended. (The brackets
    keep grep from finding itself.)"""
    return int(await output_of(workspace, "grep -slzx '[9]87' /proc/[0-9]*/cmdline | wc -l"))


async def none_sleeps(workspace: Workspace) -> None:
    async def none() -> bool:
        return await sleepers(workspace) == 0

    await until(none)
