"""What the campaign of secrets does to the service, and where it looks for them."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
from redis.asyncio import Redis
from websockets.exceptions import ConnectionClosed

from app.runtime.docker.boxes import JOB
from app.runtime.docker.find import find_engine
from tests.campaigns.processes import Processes
from tests.helpers.model_server import Server
from tests.helpers.sockets import open_socket

PASSWORD = "canary-password-7f3a9c"
SECRET_KEY = "canary-secret-key-51e0-with-more-than-32-letters"
MODEL_KEY = "sk-canary-model-key-d94b"
GIVE_TOKENS = ("/api/auth/register/", "/api/auth/login/", "/api/auth/token/refresh/", "/api/auth/ws-ticket/")

MAKE_BOX = """
import asyncio, sys, uuid
from app.bootstrap import open_resources
from app.settings import Settings
async def main():
    async with open_resources(Settings()) as resources:
        box = await resources.runtime.attach(uuid.UUID(sys.argv[1]), fence=1, create=True)
        print((await box.run(sys.argv[2], timeout_s=60)).output)
        await box.close()
asyncio.run(main())
"""
"""A box as a worker makes it, from the service's environment, and what a command in it prints."""

WHAT_A_JOB_SEES = (
    "env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/mounts 2>/dev/null | tr '\\\\0' ' '"
)

ENGINE = find_engine(os.environ.get("DOCKER_HOST", ""))


class Watch:
    """Knows the secrets, and looks for them."""

    def __init__(self, **secrets: str) -> None:
        self.secrets = secrets
        self.looked: Counter[str] = Counter()
        self.sightings: list[str] = []

    def look(self, where: str, text: str | bytes) -> None:
        found = text if isinstance(text, str) else text.decode("utf-8", "replace")
        self.looked[where.split(" ")[0]] += 1
        for name, secret in self.secrets.items():
            if (place := found.find(secret)) >= 0:
                self.sightings.append(
                    f"{name} in {where}: {found[max(place - 80, 0) : place + len(secret)]!r}"
                )

    def learn(self, tokens: dict[str, Any]) -> None:
        """Tokens and tickets just given. Of a JWT the signature is a secret; the rest says only who it is."""
        for name in {"access", "refresh", "ticket"} & set(tokens):
            self.secrets[f"{name} {len(self.secrets)}"] = tokens[name].rpartition(".")[2]

    async def hear(self, answer: httpx.Response) -> None:
        """For httpx: look at an answer. One that gives tokens may hold these tokens."""
        await answer.aread()
        if answer.request.url.path in GIVE_TOKENS and answer.is_success:
            self.learn(answer.json())
            return
        self.look(
            f"answer {answer.status_code} {answer.request.url.path}", f"{answer.headers}\n{answer.text}"
        )


def password_of(url: str) -> str:
    return urlsplit(url).password or ""


def account(**changed: Any) -> dict[str, Any]:
    return {"email": "ada@example.org", "password": PASSWORD, "name": "Ada", **changed}


async def wrong_ways_in(http: httpx.AsyncClient) -> None:
    """The password in requests that are refused, and in the one that is not."""
    for path in ("/api/auth/register/", "/api/auth/login/"):
        for changed in (
            {"password": [PASSWORD]},
            {"password": {PASSWORD: PASSWORD}},
            {"password": f"{PASSWORD}\0"},
            {"password": PASSWORD * 100},
            {"email": PASSWORD},
            {"email": [PASSWORD], "name": {PASSWORD: 1}},
            {PASSWORD: PASSWORD},
        ):
            await http.post(path, json=account(**changed))
        whole = json.dumps(account())
        for body in (whole[:-1], f"[{whole}]", f'"{PASSWORD}"', whole + " " * 5_000_000, ""):
            await http.post(path, content=body, headers={"Content-Type": "application/json"})
        await http.post(path, content=whole.encode("utf-16"), headers={"Content-Type": "application/json"})
        await http.post(path, data=account())
        await http.post(path, json=account(), headers={"Idempotency-Key": "\x7f"})
        await http.put(path, json=account())
    await http.post("/api/auth/register/", json=account())
    for _ in range(12):
        await http.post("/api/auth/login/", json=account(email="eve@example.org"))
    await http.get("/api/auth/me/", auth=("ada@example.org", PASSWORD))


async def tokens_in_wrong_places(http: httpx.AsyncClient, session: dict[str, Any]) -> None:
    for name, token in (("access", session["access"]), ("refresh", session["refresh"])):
        head, payload, signature = token.split(".")
        for wrong in (token, f"{head}.{payload}x.{signature}", f"{token}.{signature}"):
            for query in (f"?token={wrong}", f"?{name}={wrong}"):
                await http.get(f"/api/auth/me/{query}")
            for header in (f"Basic {wrong}", wrong, f"bearer,{wrong}", f"Bearer {wrong} x"):
                await http.get("/api/auth/me/", headers={"Authorization": header})
            await http.get("/api/jobs/", headers={"Cookie": f"boardroom_access={wrong}", "Authorization": ""})
            await http.post("/api/auth/token/refresh/", json={"refresh": [wrong], "access": wrong})
            await http.post("/api/auth/token/refresh/", content=f'{{"refresh": "{wrong}"')
    await http.post("/api/auth/token/refresh/", json={"refresh": session["access"]})
    await http.get("/api/jobs/", headers={"Authorization": f"Bearer {session['refresh']}"})


async def sockets(
    http: httpx.AsyncClient, watch: Watch, url: str, job_id: str, session: dict[str, Any]
) -> None:
    """Each way to bring a token, right and wrong, and frames that hold one."""
    here = f"{url.replace('http', 'ws', 1)}/ws/jobs/{job_id}/"
    ticket = (await http.post("/api/auth/ws-ticket/")).json()["ticket"]
    for token in (session["access"], session["refresh"], f"{session['access']}x", ticket, ticket):
        for query, options in (
            (f"?ticket={token}", {}),
            (f"?token={token}", {}),
            ("", {"subprotocols": ["bearer", token]}),
            ("", {"headers": {"Authorization": f"Bearer {token}"}}),
            ("", {"headers": {"Cookie": f"boardroom_access={token}", "Origin": url}}),
            ("", {"headers": {"Cookie": f"boardroom_access={token}", "Origin": "https://evil.example"}}),
        ):
            with suppress(ConnectionClosed):
                async with open_socket(f"{here}{query}", **options) as socket:
                    for frame in (f'{{"kind": "{token}"}}', f'{{"token": "{token}"', token):
                        await socket.connection.send(frame)
                    for heard in await socket.pings():
                        watch.look("frame", json.dumps(heard))


async def models_that_fail(http: httpx.AsyncClient, models: Server, job_id: str) -> None:
    """The job ends, because no model answers."""
    await http.post(f"/api/jobs/{job_id}/start/")
    async with asyncio.timeout(300):
        while (await http.get(f"/api/jobs/{job_id}/")).json()["status"] != "failed":
            await asyncio.sleep(0.5)
    assert models.of(MODEL_KEY), "the provider was asked"
    for path in (
        f"/api/jobs/{job_id}/events/",
        f"/api/jobs/{job_id}/usage/",
        f"/api/job-messages/?job={job_id}",
    ):
        assert (await http.get(path)).status_code == 200


async def a_box(http: httpx.AsyncClient, running: Processes, watch: Watch, job_id: str) -> None:
    """What a job can see, and what the API says of its box."""
    said = await output_of(running, "-c", MAKE_BOX, job_id, WHAT_A_JOB_SEES)
    assert "PATH=" in said, said
    watch.look("box", said)
    await http.post(f"/api/jobs/{job_id}/containers/start")
    for path in (
        "containers/status",
        "files/structure/",
        "files/content/?path=../../proc/self/environ",
        "files/archive/",
    ):
        await http.get(f"/api/jobs/{job_id}/{path}")


async def parts_away(http: httpx.AsyncClient, running: Processes) -> None:
    """Calls that carry secrets while Redis, then PostgreSQL is away."""
    for part in (running.valkey, running.postgres):
        await asyncio.to_thread(part.stop)
        for path in ("/readyz", "/metrics", "/api/jobs/", "/api/auth/me/"):
            await http.get(path)
        await http.post("/api/auth/login/", json=account())
        await http.post("/api/jobs/", json={"prompt": "Another list"})
        await asyncio.to_thread(part.start, may_move=False)
    async with asyncio.timeout(60):
        while (await http.get("/api/jobs/")).status_code != 200:
            await asyncio.sleep(0.2)


TABLES = ("users", "refresh_tokens", "ws_tickets", "attempts")


async def faults(http: httpx.AsyncClient, running: Processes, session: dict[str, Any]) -> None:
    """Faults of the service itself: tables that it needs are missing, one after the other."""
    seen: Counter[int] = Counter()
    async with running.database() as database:
        for table in TABLES:
            await database.execute(f"alter table {table} rename to away")
            for path, body in (
                ("register/", account(email=f"{uuid4().hex}@example.org")),
                ("login/", account()),
                ("token/refresh/", {"refresh": session["refresh"]}),
                ("ws-ticket/", {}),
            ):
                answer = await http.post(f"/api/auth/{path}", json=body, headers={"Connection": "close"})
                seen[answer.status_code] += 1
            await database.execute(f"alter table away rename to {table}")
    assert seen[500] > len(TABLES), seen


async def everything_stored(running: Processes, watch: Watch) -> None:
    async with running.database() as database:
        for (table,) in await database.fetch(
            "select table_name from information_schema.tables where table_schema = 'public'"
        ):
            for (row,) in await database.fetch(f'select t::text from "{table}" t'):
                watch.look(f"row {table}", row)
    async with Redis.from_url(running.valkey.url) as redis:
        async for key in redis.scan_iter():
            watch.look(f"redis {key}", key + (await redis.dump(key) or b""))


async def sessions_that_end(http: httpx.AsyncClient, session: dict[str, Any]) -> None:
    await http.post("/api/auth/token/refresh/", json={"refresh": session["refresh"]})
    await http.post("/api/auth/logout/", json={"refresh": session["refresh"]})
    await http.post("/api/auth/token/refresh/", json={"refresh": session["refresh"]})
    await http.get("/api/auth/me/")


async def starts_that_fail(running: Processes, watch: Watch) -> None:
    """`doctor` with a wrong or weak secret says which, and not what it is."""
    wrong = running.postgres.url.replace(password_of(running.postgres.url), PASSWORD)
    for changed in (
        {"DATABASE_URL": wrong},
        {"DATABASE_URL": f"nonsense://x:{PASSWORD}@nowhere"},
        {"REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0"},
        {"SECRET_KEY": "canary"},
        {"MODEL": "nonsense:x"},
    ):
        said = await output_of(running, "-m", "app.cli", "doctor", **changed)
        watch.look("start", said)


async def output_of(running: Processes, *command: str, **env: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env={**running.env, **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return said.decode(errors="replace")


def containers(watch: Watch, job_id: str) -> None:
    """All that the engine says of the job's containers and volumes; then they are removed."""
    docker = [shutil.which("docker") or "docker", "--host", ENGINE]
    for kind, lister in (("container", ["ps", "--all"]), ("volume", ["volume", "ls"])):
        names = said_by([*docker, *lister, "--quiet", "--filter", f"label={JOB}={job_id}"]).split()
        assert names, kind
        for name in names:
            watch.look(f"inspect {kind}", said_by([*docker, "inspect", name]))
            said_by([*docker, kind, "rm", "--force", name])


def said_by(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
