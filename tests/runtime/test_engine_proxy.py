"""Calls that the proxy in front of the engine refuses. All other tests of containers show that it passes the
calls that the runtime needs, because they use the proxy."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.runtime.docker.hardening import DEFAULT_IMAGE, RELAY_UID, Recipe, container_config
from tests.helpers.boxes import unavailable

JOB = uuid4()
BOX = f"boardroom-abc-{JOB}"
ID = "0" * 64
REFUSED = 405

OTHER_CALLS = [
    "GET /info",
    "GET /v1.41/events",
    "GET /v1.41/containers/boardroom-postgres-1/json",
    f"GET /v1.41/containers/{ID}/json",
    f"GET /v1.41/containers/{BOX}/archive?path=/etc",
    f"GET /v1.41/containers/{BOX}/../../info",
    f"GET /v1.41/containers/{BOX}%2f..%2f..%2f..%2finfo/json",
    "GET //v1.41/info",
    "GET /v1.41/secrets",
    "POST /v1.41/build",
    "POST /v1.41/images/create?fromImage=alpine",
    "POST /v1.41/containers/boardroom-postgres-1/kill",
    "POST /v1.41/containers/boardroom-worker-1/exec",
    f"POST /v1.41/containers/{ID}/exec",
    f"POST /v1.41/containers/{BOX}/attach",
    "POST /v1.41/containers/boardroom-api-1/attach?stream=1&stdin=1&stdout=1&stderr=1",
    f"POST /v1.41/containers/{BOX}/rename?name={BOX}",
    f"POST /v1.41/containers/{ID}/rename?name={BOX}",
    f"POST /v1.41/containers/boardroom-postgres-1/rename?name={BOX}",
    f"POST /v1.41/containers/boardroom-abc-pool-{JOB}/rename?name=boardroom-postgres-1",
    f"GET /v1.41/containers/{BOX}/logs?stdout=1",
    f"POST /v1.41/containers/{BOX}/update",
    "POST /v1.41/containers/create",
    "POST /v1.41/containers/create?name=boardroom-postgres-1",
    f"POST /v1.41/containers/create?name={BOX}&platform=linux",
    "POST /v1.41/containers/prune",
    "POST /v1.41/volumes/prune",
    "POST /v1.41/networks/bridge/connect",
    "POST /v1.41/networks/boardroom_inside/connect",
    "DELETE /v1.41/networks/boardroom_inside",
    "POST /v1.41/swarm/init",
    "POST /v1.41/plugins/pull?remote=x",
    f"PUT /v1.41/containers/{BOX}/archive?path=/app",
    "DELETE /v1.41/containers/boardroom-postgres-1?force=1",
    "DELETE /v1.41/volumes/boardroom_postgres",
    "DELETE /v1.41/images/boardroom",
]

Change = Callable[[dict[str, Any]], object]

OTHER_CONTAINERS: Mapping[str, Change] = {
    "privileged": lambda it: it["HostConfig"].update(Privileged=True),
    "a capability": lambda it: it["HostConfig"].update(CapAdd=["SYS_ADMIN"]),
    "capabilities kept": lambda it: it["HostConfig"].update(CapDrop=[]),
    "a bind mount": lambda it: it["HostConfig"].update(Binds=["/:/host"]),
    "a bind mount by its long form": lambda it: it["HostConfig"]["Mounts"].append(
        {"Source": "/", "Target": "/host", "Type": "bind"}
    ),
    "a volume that is a folder": lambda it: it["HostConfig"]["Mounts"][0].update(
        VolumeOptions={"DriverConfig": {"Options": {"type": "none", "o": "bind", "device": "/"}}}
    ),
    "somebody else's volume": lambda it: it["HostConfig"]["Mounts"][0].update(Source="boardroom_postgres"),
    "a device": lambda it: it["HostConfig"].update(Devices=[{"PathOnHost": "/dev/sda"}]),
    "the machine's processes": lambda it: it["HostConfig"].update(PidMode="host"),
    "the machine's network": lambda it: it["HostConfig"].update(NetworkMode="host"),
    "another's network": lambda it: it["HostConfig"].update(NetworkMode="container:boardroom-postgres-1"),
    "no seccomp": lambda it: it["HostConfig"].update(SecurityOpt=["seccomp=unconfined"]),
    "root": lambda it: it.update(User="0:0"),
    "no limit": lambda it: it["HostConfig"].update(Memory=0),
    "said twice, in another spelling": lambda it: it.update(hostConfig={"Privileged": True}),
}


@pytest.fixture(scope="module")
async def engine(proxy: str | None, docker_boxes: None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the engine's API through the proxy."""
    if proxy is None:
        unavailable("no nginx here to be the proxy")
    way = httpx.AsyncHTTPTransport(uds=proxy.removeprefix("unix://"))
    async with httpx.AsyncClient(transport=way, base_url="http://engine") as client:
        yield client


async def test_other_calls_are_refused(engine: httpx.AsyncClient) -> None:
    let_through = []
    for call in OTHER_CALLS:
        method, _, target = call.partition(" ")
        url = httpx.URL("http://engine").copy_with(raw_path=target.encode())
        if (await engine.request(method, url, json={})).status_code != REFUSED:
            let_through.append(call)
    assert not let_through


async def test_other_containers_are_refused(engine: httpx.AsyncClient) -> None:
    def words(change: Change = lambda it: None) -> str:
        config = container_config(Recipe(DEFAULT_IMAGE), BOX, {"boardroom.job": str(JOB)})
        change(config)
        return json.dumps(config, sort_keys=True)

    tried = {name: words(change) for name, change in OTHER_CONTAINERS.items()}
    tried["said after it"] = f"{words()} {words(OTHER_CONTAINERS['privileged'])}"
    tried["too large to be looked at"] = words(lambda it: it["Env"].append("x" * 500_000))
    create = f"/v1.41/containers/create?name={BOX}"
    answers = {name: await _post(engine, create, text) for name, text in tried.items()}
    assert answers == dict.fromkeys(tried, REFUSED)
    assert await _post(engine, create, words()) == 201
    for made in (f"containers/{BOX}", f"volumes/{BOX}-app", f"volumes/{BOX}-scratch"):
        assert (await engine.delete(f"/v1.41/{made}")).status_code == 204


async def test_other_volumes_and_processes_are_refused(engine: httpx.AsyncClient) -> None:
    volume = {"Labels": {"boardroom.job": str(JOB)}, "Name": f"{BOX}-app"}
    folder = {"DriverOpts": {"type": "none", "o": "bind", "device": "/"}, **volume}
    process = {
        "Container": BOX, "Privileged": False, "Tty": False, "AttachStdin": True, "AttachStdout": True,
        "AttachStderr": False, "Cmd": ["sh"], "Env": None, "WorkingDir": "", "detachKeys": "",
        "User": f"{RELAY_UID}:{RELAY_UID}",
    }  # fmt: skip
    make, run = "/v1.41/volumes/create", f"/v1.41/containers/{BOX}/exec"
    for call, body, expected in (
        (make, folder, REFUSED),
        (make, {**volume, "Name": "boardroom_postgres"}, REFUSED),
        (make, process, REFUSED),
        (run, {**process, "Privileged": True}, REFUSED),
        (run, {**process, "User": "0:0"}, REFUSED),
        (
            "/v1.41/networks/create",
            {"CheckDuplicate": True, "Driver": "host", "Name": "boardroom-a"},
            REFUSED,
        ),
        ("/v1.41/networks/boardroom-a/connect", {"Container": "boardroom-api-1"}, REFUSED),
        (run, process, 404),  # the engine's own answer, as there is no such box: the proxy passed the call
    ):
        assert await _post(engine, call, json.dumps(body)) == expected, (call, body)


async def _post(engine: httpx.AsyncClient, call: str, text: str) -> int:
    answer = await engine.post(call, content=text, headers={"Content-Type": "application/json"})
    return answer.status_code
