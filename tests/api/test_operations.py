"""Health, readiness when parts are down, metrics, and the documentation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from jsonschema import Draft202012Validator
from redis.asyncio import Redis
from sqlalchemy import text

from app.api import readiness
from app.api.errors import CODES
from app.auth.tokens import Tokens
from app.main import create_app
from app.queue import worker_key
from app.settings import Settings
from app.store.statements import Statement
from tests.helpers.parts import Parts
from tests.helpers.service import SECRET, Service, serve

NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    return create_app(Settings(_env_file=None)).openapi()


@asynccontextmanager
async def beating(parts: Parts) -> AsyncIterator[None]:
    """Record the heartbeat of a worker."""
    redis = Redis.from_url(parts.redis_url)
    await redis.set(worker_key("test"), "", ex=60)
    yield
    await redis.delete(worker_key("test"))
    await redis.aclose()


async def test_health_and_metrics(anybody: httpx.AsyncClient) -> None:
    assert (await anybody.get("/healthz")).json() == {"status": "ok"}
    figures = await anybody.get("/metrics")
    assert 'boardroom_requests_total{method="GET",route="/healthz",status="200"}' in figures.text


async def test_ready(parts: Parts, anybody: httpx.AsyncClient) -> None:
    missing = await anybody.get("/readyz")
    assert missing.status_code == 503
    down = [name for name, state in missing.json()["checks"].items() if not state["ok"]]
    assert down == ["worker"]
    async with beating(parts):
        answer = await anybody.get("/readyz")
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "rehearsal"
    assert set(answer.json()["checks"]) == {"database", "redis", "events", "worker", "box"}


async def test_without_redis_only_readiness_says_so(parts: Parts, tmp_path: Path) -> None:
    async with serve(parts, tmp_path, redis_url=f"redis://{NOWHERE}") as service:
        answer = await httpx_get(service, "/readyz")
        assert answer.status_code == 503
        down = {name for name, state in answer.json()["checks"].items() if not state["ok"]}
        assert down == {"redis", "worker"}
        ada = await service.person()
        await ada.job()
        assert len((await ada.client.get("/api/jobs/")).json()) == 1
        await ada.client.aclose()


async def httpx_get(service: Service, path: str, **headers: str) -> httpx.Response:
    async with service.client() as client:
        return await client.get(path, headers=headers)


async def test_without_postgresql_calls_are_503(parts: Parts, tmp_path: Path) -> None:
    access = Tokens(SECRET, access_s=600).access(uuid4(), uuid4())
    async with serve(parts, tmp_path, database_url=f"postgresql://nobody@{NOWHERE}/none") as service:
        for path in ("/api/jobs/", "/api/auth/me/"):
            answer = await httpx_get(
                service, path, Authorization=f"Bearer {access}", Origin="http://localhost:5173"
            )
            assert (answer.status_code, answer.json()["code"]) == (503, "database_down")
            assert answer.headers["access-control-allow-origin"] == "*"
        async with service.client() as client:
            body = {"email": "a@example.org", "password": "correct horse"}
            assert (await client.post("/api/auth/login/", json=body)).status_code == 503
        ready = await httpx_get(service, "/readyz")
        assert ready.json()["checks"]["database"]["ok"] is False
        assert (await httpx_get(service, "/healthz")).status_code == 200


async def test_the_documentation_needs_no_network(anybody: httpx.AsyncClient) -> None:
    front = await anybody.get("/")
    assert (front.status_code, front.headers["location"]) == (307, "/docs")
    page = await anybody.get("/docs")
    assert page.status_code == 200
    assert "https://" not in page.text
    assert "http://" not in page.text
    for name in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"):
        assert f"/docs/{name}" in page.text
        assert (await anybody.get(f"/docs/{name}")).status_code == 200
    assert (await anybody.get("/docs/other.js")).status_code == 404
    described = (await anybody.get("/openapi.json")).json()
    assert described["info"]["title"] == "Boardroom"


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def test_operations_are_named_as_in_the_code(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert {"create_job", "list_jobs", "login", "readyz"} <= set(names)


def test_every_request_and_answer_has_an_example(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def examples_of(media: dict[str, Any]) -> list[Any]:
        if "example" in media:
            return [media["example"]]
        if "examples" in media:
            return [example["value"] for example in media["examples"].values()]
        schema = media["schema"]
        listed = schema.get("type") == "array"
        reference = schema["items"]["$ref"] if listed else schema["$ref"]
        examples: list[Any] = schemas[reference.rsplit("/", 1)[1]]["examples"]
        return [examples] if listed else examples

    for name, operation in operations(document):
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [response.get("content", {}) for response in operation["responses"].values()]
        for content in contents:
            for kind, media in content.items():
                if kind.endswith("json"):
                    schema = {**media["schema"], "components": document["components"]}
                    for example in examples_of(media):
                        Draft202012Validator(schema).validate(example)
        assert operation["description"], name
        assert operation["tags"], name


def test_operation_ids_and_security(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    for name, operation in operations(document):
        needs_user = "401" in operation["responses"] and "token/refresh" not in name
        assert ("security" in operation) is needs_user, name


def test_words_of_the_document(document: dict[str, Any]) -> None:
    text = document["info"]["description"]
    for code in CODES:
        assert f"`{code}`" in text
    for word in ("/ws/jobs/<job_id>/", "stageUpdate", "ticketReset", "4001", "since", "Idempotency-Key"):
        assert word in text


async def test_reads_never_write(service: Service) -> None:
    async with service.application.state.house.reads.open() as statements:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await statements.row(Statement(text("delete from users")), {})


async def test_a_probe_that_takes_its_time_is_known_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PATIENCE_S", 0.01)
    asked, answers = [], asyncio.Event()

    async def slow() -> str:
        asked.append("")
        await answers.wait()
        return "well"

    probe = readiness.Remembered(slow, for_s=60)
    for _ in range(2):
        assert (await readiness.examine({"box": probe}))["box"].detail == "does not answer in time"
    answers.set()
    assert await probe() == "well"
    assert len(asked) == 1


async def test_a_probe_that_broke_is_made_again() -> None:
    asked = []

    async def breaks_once() -> str:
        asked.append("")
        if len(asked) == 1:
            raise RuntimeError("a bug of ours")
        return "well"

    probe = readiness.Remembered(breaks_once, for_s=60)
    with pytest.raises(RuntimeError):
        await probe()
    assert await probe() == "well"
