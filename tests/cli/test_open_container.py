"""`boardroom open` for a job in a container, while the service and its embedded database do not run."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from app.bootstrap import open_runtime
from app.embedded.datadir import DataDir
from app.runtime.docker.boxes import INSTANCE
from app.runtime.docker.engine import Engine
from app.settings import Settings
from tests.cli import conftest
from tests.cli.commands import APP, read_until
from tests.cli.conftest import Popen, wait_until_ready
from tests.helpers.boxes import ENGINE, docker_boxes, docker_runtime, proxy, reasons
from tests.helpers.processes import processes_of

__all__ = ["docker_boxes", "proxy", "reasons"]

JOB = "boardroom.job"


@pytest.fixture(scope="module")
def environment(home: Path) -> Mapping[str, str]:
    return {**conftest.small_environment(home), "WORKSPACE_RUNTIME": "docker", "DOCKER_HOST": ENGINE}


@pytest.fixture
async def engine(docker_boxes: None) -> AsyncIterator[Engine]:
    engine = Engine(ENGINE)
    yield engine
    await engine.close()


async def _made(url: str) -> UUID:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        ada = {"email": "ada@example.org", "password": "correct horse battery"}
        session = (await client.post("/api/auth/register/", json=ada)).json()
        client.headers["Authorization"] = f"Bearer {session['access']}"
        answer = await client.post("/api/jobs/", json={"prompt": "A list of the tools we lend"})
        return UUID(answer.json()["id"])


async def _filled(job: UUID, running_in: DataDir) -> None:
    """Put an app into the job's box, as after a build."""
    runtime = await open_runtime(
        Settings(
            workspace_runtime="docker",
            docker_host=ENGINE,
            database_url=running_in.last().database_url,
            data_dir=running_in.path,
            _env_file=None,
        )
    )
    workspace = await runtime.attach(job, create=True)
    await workspace.save("/app/server.py", APP.encode())
    await workspace.save("/app/boardroom.json", b'{"start": "python3 server.py"}')
    await workspace.close()
    await runtime.close()


async def _stopped(process: Popen) -> str:
    process.send_signal(signal.SIGINT)
    return str((await asyncio.to_thread(process.communicate, timeout=60))[0])


@pytest.mark.may_block
async def test_open_leads_to_the_app_in_its_container(
    engine: Engine, start: Callable[..., Popen], home: Path
) -> None:
    up = start("up")
    job = await _made(await asyncio.to_thread(wait_until_ready, home, up))
    await _filled(job, DataDir(home))
    await _stopped(up)
    assert up.returncode == 0
    assert await engine.containers({JOB: str(job)}) == {}
    [volume] = [each for each in (await engine.volumes({JOB: str(job)})).items() if each[0].endswith("-app")]
    try:
        opened = start("open", str(job))
        address = (await asyncio.to_thread(read_until, opened, r"The app: (http://127\.0\.0\.1:\d+)"))[1]
        [container] = (await engine.containers({JOB: str(job)})).values()
        assert container.state == "running"
        async with httpx.AsyncClient(timeout=30) as client:
            pages = await asyncio.gather(*(client.get(f"{address}/boardroom.json") for _ in range(5)))
        assert {page.text for page in pages} == {'{"start": "python3 server.py"}'}
        assert await _stopped(opened) == ""
        assert opened.returncode == 0
        assert processes_of(home) == []
        assert await engine.containers({JOB: str(job)}) == {}
    finally:
        ours = docker_runtime(volume[1][INSTANCE])
        await ours.destroy(job)
        await ours.close()
    assert await engine.volumes({INSTANCE: volume[1][INSTANCE]}) == {}
