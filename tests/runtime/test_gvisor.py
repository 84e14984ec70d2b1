"""Boxes on gVisor (`WORKSPACE_OCI_RUNTIME=runsc`), if the engine has it. docs/deployment.md says which
guarantees it does not give."""

from collections.abc import AsyncIterator
from uuid import uuid4

import aiodocker
import pytest

from app.domain.ticket import CommandCheck
from app.domain.workspace import Manifest
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.workspace import FenceLost
from tests.helpers.boxes import ENGINE, docker_runtime, none_sleeps, output_of

IMPOSTOR = """
import os, socket, struct, time
relay = socket.socket(socket.AF_UNIX)
relay.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
relay.connect("\\0boardroom")
ends = os.pipe()
mine = struct.pack("3i", os.getpid(), {uid}, {uid})
said = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("2i", *ends))]
if {forged}:
    said.append((socket.SOL_SOCKET, socket.SCM_CREDENTIALS, mine))
try:
    relay.sendmsg([b"."], said)
    relay.settimeout(5)
    print(relay.recv(1))
except OSError as error:
    print(type(error).__name__)
"""


@pytest.fixture(params=["", "runsc"])
async def runtime(docker_boxes: None, request: pytest.FixtureRequest) -> AsyncIterator[DockerRuntime]:
    """A runtime on gVisor, and one on the engine's default runtime, for which the same has to hold."""
    async with aiodocker.Docker(ENGINE) as engine:
        known = (await engine.system.info())["Runtimes"]
    if request.param and request.param not in known:
        pytest.skip("the engine has no runtime runsc")
    runtime = docker_runtime(f"test-{uuid4().hex[:12]}", oci_runtime=request.param)
    yield runtime
    for job_id in await runtime.boxes():
        await runtime.destroy(job_id)
    await runtime.close()


async def test_a_box_is_made_worked_in_and_taken_over(runtime: DockerRuntime) -> None:
    job = uuid4()
    maker = await runtime.attach(job, fence=1, create=True)
    await maker.save("a.py", b"print(6 * 7)")
    assert await output_of(maker, "python3 a.py; id -u") == "42\n1000"
    commit = await maker.commit("first", "Builder")
    check = CommandCheck(id="c", criterion=0, kind="command", run="python3 a.py", expect_output="42")
    assert (await maker.check(commit.sha, check)).passed
    api = await runtime.attach(job)
    assert (await api.read("a.py")).content == b"print(6 * 7)"
    assert (await maker.run("sleep 987 & (setsid sleep 987 &); sleep 987", timeout_s=0.5)).timed_out
    await none_sleeps(maker)
    successor = await runtime.attach(job, fence=2)
    with pytest.raises(FenceLost):
        await maker.read("a.py")
    app = await successor.start_app(Manifest(start="exec python3 -m http.server -b 127.0.0.1 $PORT"))
    assert app.answering
    assert "42" not in (await api.request("GET", "/")).body
    for workspace in (maker, api, successor):
        await workspace.close()


@pytest.mark.parametrize("forged", [False, True])
async def test_a_job_cannot_pose_as_a_relay(runtime: DockerRuntime, forged: bool) -> None:
    worker = await runtime.attach(uuid4(), fence=1, create=True)
    await worker.save("impostor.py", IMPOSTOR.format(uid=1001, forged=forged).encode())
    said = await output_of(worker, "python3 impostor.py")
    assert said in ("b''", "ConnectionResetError", "BrokenPipeError", "PermissionError")
    await worker.close()
