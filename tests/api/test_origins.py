"""Which pages of other origins may use the API, and what a browser is told about every answer."""

import re
from pathlib import Path

import httpx
import pytest

from tests.api.sessions import new_person
from tests.helpers.parts import Parts
from tests.helpers.service import Person, serve

JSON = {"Content-Type": "application/json"}
ALLOWED = {"access-control-allow-origin", "access-control-expose-headers"}
PREVIEW = "a" * 32


async def preflight(client: httpx.AsyncClient, origin: str) -> httpx.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization",
    }
    return await client.options("/api/jobs/x/", headers=headers)


async def test_pages_of_this_machine_in_development(anybody: httpx.AsyncClient, ada: Person) -> None:
    anybody.headers["Origin"] = "http://localhost:5173"
    answers = [
        await anybody.get("/healthz"),
        await anybody.get("/api/jobs/"),
        await anybody.get("/nothing"),
        await anybody.put("/api/jobs/"),
        await anybody.post("/api/auth/login/", content=b"{", headers=JSON),
        await anybody.post("/api/auth/login/", json={}),
        await anybody.post("/api/auth/login/", content=b"x" * 5_000_000, headers=JSON),
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 404, 405, 400, 422, 413]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert exposed == ["Link", "Retry-After", "X-Request-ID", "Idempotent-Replayed"]
        assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("origin", "host", "granted"),
    [
        ("http://127.0.0.1:3000", "", True),
        ("https://localhost", "", True),
        ("http://[::1]:8080", "", True),
        ("http://app.localhost:3000", "", True),
        ("http://192.168.1.7:5173", "192.168.1.7:8000", True),
        ("https://board.example", "board.example", True),
        ("http://[fd00::7]:5173", "[FD00::7]:8000", True),
        ("https://spa.example", "", False),
        ("http://192.168.1.8:5173", "192.168.1.7:8000", False),
        ("https://evil.board.example", "board.example", False),
        ("https://localhost.evil.example", "", False),
        ("https://evil.example", "evil.example@board.example", False),
        ("null", "", False),
        ("Null", "null", False),
        ("file://", "", False),
        ("file://localhost", "", False),
        ("chrome-extension://localhost", "", False),
        ("http://[", "", False),
        ("", "", False),
        (f"http://{PREVIEW}.localhost:8000", "", False),
        (f"http://{PREVIEW.upper()}.localhost", "", False),
        (f"http://x.{PREVIEW}.localhost", "", False),
        (f"http://{PREVIEW}.preview.localhost:8000", "", False),
    ],
)
async def test_any_origin_in_development_is_near(
    anybody: httpx.AsyncClient, origin: str, host: str, granted: bool
) -> None:
    if host:
        anybody.headers["Host"] = host
    for answer in (
        await anybody.get("/healthz", headers={"Origin": origin}),
        await preflight(anybody, origin),
    ):
        assert bool(ALLOWED & set(answer.headers)) is granted
        assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", ["null", "NULL", f"http://{PREVIEW}.localhost:8000"])
@pytest.mark.parametrize("listed", [None, "null, http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.localhost:8000"])
async def test_a_page_without_an_origin_registers_nobody(
    parts: Parts, tmp_path: Path, origin: str, listed: str | None
) -> None:
    """A browser asks nobody before it sends a form, or a script's text/plain."""
    me = new_person()
    async with serve(parts, tmp_path, cors_origins=listed) as service, service.client() as client:
        for kind in ("text/plain", "application/json"):
            sent = {"Content-Type": kind, "Origin": origin}
            answer = await client.post(
                "/api/auth/register/",
                content=httpx.Request("POST", "http://x", json=me).content,
                headers=sent,
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
            assert not ALLOWED & set(answer.headers)
            assert "set-cookie" not in answer.headers
        login = {"email": me["email"], "password": me["password"]}
        assert (await client.post("/api/auth/login/", json=login)).status_code == 400


async def test_preflights(anybody: httpx.AsyncClient) -> None:
    answer = await preflight(anybody, "http://localhost:5173")
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-methods"] == "GET, POST, PUT, PATCH, DELETE"
    allowed = answer.headers["access-control-allow-headers"]
    assert allowed == "Authorization, Content-Type, Idempotency-Key, X-Request-ID"
    assert answer.headers["x-request-id"]


async def test_listed_origins(parts: Parts, tmp_path: Path) -> None:
    listed = "https://one.example, https://two.example/"
    async with serve(parts, tmp_path, cors_origins=listed) as service, service.client() as client:
        for origin in ("https://one.example", "https://two.example"):
            for answer in (
                await client.get("/api/jobs/", headers={"Origin": origin}),
                await preflight(client, origin),
            ):
                assert answer.headers["access-control-allow-origin"] == origin
                assert answer.headers["access-control-allow-credentials"] == "true"
        for origin in ("https://three.example", "null", "https://one.example.evil", "http://localhost:1"):
            for answer in (
                await client.get("/healthz", headers={"Origin": origin}),
                await preflight(client, origin),
            ):
                assert not ALLOWED & set(answer.headers)
                assert answer.headers["vary"] == "Origin"


async def test_every_answer_says_what_a_browser_may_do_with_it(ada: Person) -> None:
    answers = [
        await ada.client.get("/healthz"),
        await ada.client.get("/api/jobs/"),
        await ada.client.get("/nothing"),
        await ada.client.get("/"),
        await ada.client.post("/api/jobs/", content=b"{", headers=JSON),
        await ada.client.get("/docs"),
        await ada.client.get("/docs/swagger-ui.css"),
        await preflight(ada.client, "https://spa.example"),
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
    docs = answers[5]
    assert not re.search(r"script-src[^;]*unsafe", docs.headers["content-security-policy"])
