"""When a container has a network, and what it cannot reach with one."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiodocker
import pytest

from app.domain.ticket import CommandCheck, HttpCheck
from app.domain.workspace import Manifest, NetworkMode
from app.runtime.docker import network
from app.runtime.docker.boxes import DockerBox
from app.runtime.docker.hardening import DEFAULT_IMAGE
from app.runtime.docker.runtime import DockerRuntime
from app.runtime.workspace import CheckResult, Workspace
from app.runtime.worlds import BoxId
from tests.helpers.boxes import ENGINE, docker_runtime, output_of
from tests.helpers.waiting import until

OUTSIDE = """
import http.server, itertools, socketserver, threading
numbers = itertools.count(1)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"package %d\\n" % next(numbers))
everywhere = socketserver.ThreadingTCPServer(("0.0.0.0", 0), Handler)
inside = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=inside.serve_forever, daemon=True).start()
print(everywhere.server_address[1], inside.server_address[1], flush=True)
everywhere.serve_forever()
"""
FETCH = """
import socket, struct, sys, urllib.request
def gateway():
    for line in open("/proc/net/route").readlines()[1:]:
        name, to, via = line.split()[:3]
        if int(to, 16) == 0:
            return socket.inet_ntoa(struct.pack("<I", int(via, 16)))
    sys.exit("no way out")
host = sys.argv[2] if len(sys.argv) > 2 else gateway()
print(urllib.request.urlopen(f"http://{host}:{sys.argv[1]}/", timeout=1).read().decode().strip())
"""
SERVE = """\
exec python3 -c "import http.server as h, os, socketserver as s
s.ThreadingTCPServer.allow_reuse_address = True
s.ThreadingTCPServer(('0.0.0.0', int(os.environ['PORT'])), h.SimpleHTTPRequestHandler).serve_forever()"
"""
"""A web server on all addresses. (`HTTPServer` itself would look up its host name, which takes time.)"""


@pytest.fixture(scope="module")
async def outside(docker_boxes: None) -> AsyncIterator[tuple[int, int]]:
    """The ports of two servers on the engine's machine: one on all its addresses, one on its loopback."""
    async with aiodocker.Docker(ENGINE) as engine:
        config: dict[str, Any] = {
            "Image": DEFAULT_IMAGE,
            "Entrypoint": [],
            "Cmd": ["python3", "-c", OUTSIDE],
            "HostConfig": {"NetworkMode": "host"},
        }
        server = await engine.containers.run(config)
        try:
            said: list[str] = []

            async def ready() -> bool:
                said[:] = await server.log(stdout=True)
                return bool(said)

            await until(ready)
            everywhere, loopback = map(int, said[0].split())
            yield everywhere, loopback
        finally:
            await server.delete(force=True)


async def with_network(mode: NetworkMode) -> AsyncIterator[DockerRuntime]:
    instance = f"test-{uuid4().hex[:12]}"
    runtime = docker_runtime(instance, network=mode)
    yield runtime
    for job_id in await runtime.boxes():
        await runtime.destroy(job_id)
    await runtime.stop_all()
    await runtime.close()
    async with aiodocker.Docker(ENGINE) as engine:
        assert not await engine.networks.list(filters={"name": instance})


@pytest.fixture
async def installing(docker_boxes: None) -> AsyncIterator[DockerRuntime]:
    async for runtime in with_network("install"):
        yield runtime


@pytest.fixture
async def open_boxes(docker_boxes: None) -> AsyncIterator[DockerRuntime]:
    async for runtime in with_network("open"):
        yield runtime


async def built(workspace: Workspace, install: str) -> str:
    """Commit an app with this install step, which serves the files that the step has made."""
    manifest = {"install": install, "start": SERVE, "health": "/"}
    await workspace.save("fetch.py", FETCH.encode())
    await workspace.save("boardroom.json", json.dumps(manifest).encode())
    return (await workspace.commit("App", "Builder")).sha


def shell(run: str) -> CommandCheck:
    return CommandCheck(id="c", criterion=0, run=run)


async def test_only_the_install_step_has_a_network(
    installing: DockerRuntime, outside: tuple[int, int]
) -> None:
    fetch = f"python3 fetch.py {outside[0]}"
    worker = await installing.attach(uuid4(), fence=1, create=True)
    sha = await built(worker, f"{fetch} > fetched")
    first = await worker.check(sha, shell(f"cat fetched; {fetch} && exit 1; true"))
    assert first.output_tail.splitlines()[0] == "package 1", first
    assert first.output_tail.endswith("no way out"), "the check itself has no network"
    assert first.passed
    # The next check gets what was installed for this one, unchanged.
    spoiled = await worker.check(sha, shell("grep -x 'package 1' fetched && echo spoiled > fetched"))
    again = await worker.check(
        sha, HttpCheck(id="h", criterion=0, path="/fetched", expect_text="package 1\n")
    )
    assert (spoiled.passed, again.passed) == (True, True), (spoiled, again)
    await output_of(worker, "for f in /scratch/kept/*; do echo spoiled >> $f; done")
    assert (await worker.check(sha, shell("cat fetched"))).output_tail == "package 2", "a forgery is seen"

    manifest = Manifest(install=f"{fetch} > fetched", start=SERVE)
    assert (await worker.start_app(manifest)).answering
    assert (await worker.request("GET", "/fetched")).body == "package 3\n"
    await worker.stop_app()
    await output_of(worker, "rm .gitignore 2>/dev/null; git status --porcelain | grep -q fetched")
    assert (await worker.start_app(manifest)).answering
    assert (await worker.request("GET", "/fetched")).body == "package 3\n", "nothing has changed"
    assert (await worker.run(fetch, timeout_s=20)).output == "no way out\n"
    failed = await worker.start_app(Manifest(install="echo no luck; false", start=SERVE))
    assert (failed.state, "no luck" in failed.log_tail) == ("died", True)
    await worker.close()


async def test_the_network_is_gone_when_an_install_step_is_cut_off(
    installing: DockerRuntime, outside: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = uuid4()
    worker = await installing.attach(job, fence=1, create=True)
    sha = await built(worker, f"python3 fetch.py {outside[0]} && touch /app/fetched && sleep 987")
    checking = asyncio.create_task(worker.check(sha, shell("true")))

    async def fetched() -> bool:
        return bool((await worker.run("test -e fetched", timeout_s=5)).exit_code == 0)

    await until(fetched)
    box = DockerBox(await installing._ours(), BoxId(job))
    assert await online(box)
    checking.cancel()
    await asyncio.wait([checking])
    assert not await online(box)

    # The process that connected the box has died. Three events disconnect it: the next worker, the start of
    # the box, and the sweep.
    give = box._network._connect
    await give(box.name)
    newer = await installing.attach(job, fence=2)
    assert not await online(box)
    await give(box.name)
    await box.kill()
    await installing.attach(job)
    assert not await online(box)
    await give(box.name)
    await installing.rest()
    assert await online(box), "it may be at an install step"
    monkeypatch.setattr(network, "FORGOTTEN_S", 0.0)
    await installing.rest()
    assert not await online(box)
    for workspace in (worker, newer):
        await workspace.close()


async def online(box: DockerBox) -> bool:
    found = await box.inspect()
    assert found is not None
    return any(name.startswith("boardroom-") for name in found.networks)


async def test_boxes_do_not_reach_each_other_nor_the_loopback_of_the_machine(
    open_boxes: DockerRuntime, outside: tuple[int, int]
) -> None:
    everywhere, loopback = outside
    one, two = [await open_boxes.attach(uuid4(), fence=1, create=True) for _ in range(2)]
    for workspace in (one, two):
        await workspace.save("fetch.py", FETCH.encode())
        assert (await workspace.start_app(Manifest(start=SERVE, port=8000))).answering
        assert (await output_of(workspace, f"python3 fetch.py {everywhere}")).startswith("package")
        assert (await workspace.run(f"python3 fetch.py {loopback}", timeout_s=20)).exit_code == 1
    address = await output_of(one, "hostname -i")
    own = f"python3 -c \"import urllib.request as u; u.urlopen('http://{address}:8000/', timeout=1)\""
    assert (await one.run(own, timeout_s=20)).exit_code == 0
    refused = await two.run(own, timeout_s=20)
    assert (refused.exit_code, "timed out" in refused.output) == (1, True), refused
    for workspace in (one, two):
        await workspace.close()


async def test_a_failed_install_step_without_a_network_is_explained(docker_boxes: None) -> None:
    runtime = docker_runtime(f"test-{uuid4().hex[:12]}", network="none")
    job = uuid4()
    worker = await runtime.attach(job, fence=1, create=True)
    result: CheckResult = await worker.check(await built(worker, "python3 fetch.py 1"), shell("true"))
    assert not result.passed
    assert result.output_tail == "no way out\n\nThe manifest's install step failed."
    await worker.close()
    await runtime.destroy(job)
    await runtime.close()
