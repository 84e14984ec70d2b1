"""Secrets that can be recognised go through every error: none is seen in an answer, an event, a log, a row,
in Redis or in a box (S13)."""

import base64
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.campaigns.processes import open_processes
from tests.campaigns.secret_places import (
    ENGINE,
    MODEL_KEY,
    PASSWORD,
    SECRET_KEY,
    Watch,
    a_box,
    account,
    containers,
    everything_stored,
    faults,
    models_that_fail,
    parts_away,
    password_of,
    sessions_that_end,
    sockets,
    starts_that_fail,
    tokens_in_wrong_places,
    wrong_ways_in,
)
from tests.helpers.model_server import Server, open_server, refuses, resets_mid_stream, sends
from tests.helpers.ports import free_port

pytestmark = [pytest.mark.campaign, pytest.mark.may_block]


@pytest.fixture
async def models() -> AsyncIterator[Server]:
    """A provider that quotes the key whatever is asked, in every way to fail."""
    said = f"Incorrect API key provided: {MODEL_KEY}. Bearer {MODEL_KEY}"
    async with open_server() as server:
        server.scripts[MODEL_KEY] = (
            refuses(500, said),
            refuses(429, said, retry_after="0"),
            sends(said.encode()),
            resets_mid_stream,
            refuses(400, said),
            refuses(401, said),
        )
        yield server


@pytest.mark.parametrize("boxes", ["local", "docker"])
async def test_no_secret_is_seen(tmp_path: Path, models: Server, boxes: str) -> None:
    if boxes == "docker" and not ENGINE:
        pytest.skip("no container engine answers")
    settings = {
        "ENVIRONMENT": "production",
        "REGISTRATION": "open",
        "SECRET_KEY": SECRET_KEY,
        "MODEL": "openai:canary",
        "OPENAI_BASE_URL": models.url,
        "OPENAI_API_KEY": MODEL_KEY,
        "ALLOW_WS_TOKEN_QUERY": "true",
        "WORKSPACE_RUNTIME": boxes,
        **({"DOCKER_HOST": ENGINE} if boxes == "docker" else {}),
    }
    async with open_processes(tmp_path, **settings) as running:
        watch = Watch(
            password=PASSWORD,
            secret_key=SECRET_KEY,
            model_key=MODEL_KEY,
            database_password=password_of(running.postgres.url),
            redis_password=password_of(running.valkey.url),
            basic=base64.b64encode(f"ada@example.org:{PASSWORD}".encode()).decode(),
        )
        api = await running.start_api(free_port())
        await running.start_worker()
        async with httpx.AsyncClient(
            base_url=api.url, timeout=30, event_hooks={"response": [watch.hear]}
        ) as http:
            await wrong_ways_in(http)
            session = (await http.post("/api/auth/login/", json=account())).json()
            http.headers["Authorization"] = f"Bearer {session['access']}"
            await tokens_in_wrong_places(http, session)
            job_id = (await http.post("/api/jobs/", json={"prompt": "A list of books"})).json()["id"]
            await sockets(http, watch, api.url, job_id, session)
            await models_that_fail(http, models, job_id)
            await a_box(http, running, watch, job_id)
            await parts_away(http, running)
            await faults(http, running, session)
            await everything_stored(running, watch)
            await sessions_that_end(http, session)
        await starts_that_fail(running, watch)
        if boxes == "docker":
            containers(watch, job_id)
    for line in running.log.read_text().splitlines():
        watch.look("log", line)
    for file in (file for file in (tmp_path / "data").rglob("*") if file.is_file()):
        with suppress(OSError):
            watch.look(f"file {file}", file.read_bytes())
    print(f"\nsecrets: {boxes} boxes, {len(watch.secrets)} secrets, looked at {dict(watch.looked)}")
    assert watch.sightings == []
