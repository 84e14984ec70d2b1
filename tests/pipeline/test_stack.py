"""Who plans and builds is told whether anything can be installed: where an install step has a network."""

from pathlib import Path

from app.runtime.docker.hardening import NetworkMode
from app.runtime.local import LocalRuntime
from app.runtime.workspace import Runtime
from tests.runtime.conftest import docker_runtime
from workers.profiles.catalogue import INSTALLS, PROFILES


async def test_what_can_be_installed_is_told(tmp_path: Path) -> None:
    modes: list[NetworkMode] = ["none", "install", "open"]
    runtimes: list[tuple[Runtime, bool]] = [
        (LocalRuntime(tmp_path), False),
        *((docker_runtime("test-told", network=mode), mode != "none") for mode in modes),
    ]
    for runtime, there in runtimes:
        for profile in PROFILES.values():
            told = profile.stack(installs=runtime.installs)
            assert (INSTALLS in told) is there
            assert all(check.promise in told for check in profile.checks)
        await runtime.close()
