"""Properties of all answers: errors, request ids, trailing slashes, CORS, limits, and no 500 for any
input."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest

from app.api.throttle import Throttle
from app.domain.errors import TooMany
from tests.helpers.routes import OPEN, ROWS, routes, things_of
from tests.helpers.service import PASSWORD, Person, Service

JSON = {"Content-Type": "application/json"}


async def raw(service: Service, request: bytes) -> bytes:
    """Send raw bytes, and read the answer until the connection closes."""
    port = int(service.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_unknown_addresses_and_methods(anybody: httpx.AsyncClient) -> None:
    for path in ("/nothing", "/api/", "/api/jobs/x/y/z/", "//api/jobs/", "/api/jobs//"):
        answer = await anybody.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
    for path, methods in (
        ("/api/jobs/", "GET, POST"),
        ("/api/jobs/x/", "DELETE, GET, PATCH"),
        ("/healthz", "GET"),
    ):
        answer = await anybody.put(path)
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer.headers["allow"] == methods


async def test_both_spellings_answer_directly(ada: Person) -> None:
    job_id = await ada.job()
    assert (await ada.client.post("/api/jobs", json={"prompt": "Without a slash"})).status_code == 201
    for path in (f"/api/jobs/{job_id}", "/api/jobs", "/api/auth/me", f"/api/jobs/{job_id}/events"):
        assert (await ada.client.get(path)).status_code == 200, path
    for path in (f"/api/jobs/{job_id}/containers/status/", "/healthz/"):
        assert (await ada.client.get(path)).status_code == 200, path
    assert (await ada.client.post(f"/api/jobs/{job_id}/containers/start/")).status_code == 404
    assert (await ada.client.post(f"/api/jobs/{job_id}/start")).status_code == 202


async def test_request_ids(anybody: httpx.AsyncClient) -> None:
    for given in ("abc-123", "x" * 128):
        answer = await anybody.get("/healthz", headers={"X-Request-ID": given})
        assert answer.headers["x-request-id"] == given
    for given in ("", "x" * 129, "a b", "<script>"):
        answer = await anybody.get("/nothing", headers={"X-Request-ID": given})
        assert answer.headers["x-request-id"] not in ("", given)
        assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"prompt": "x"',
        b'{"prompt": "\xff\xfe"}',
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"prompt": ' + b"9" * 5000 + b"}",
        b"NaN",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b"true",
        b'{"prompt": {"prompt": "x"}}',
        b'{"prompt": 1e999}',
        b"\xef\xbb\xbf{}",
    ],
)
async def test_invalid_bodies(ada: Person, content: bytes) -> None:
    for path in ("/api/jobs/", "/api/job-messages/", "/api/auth/login/", f"/api/jobs/{uuid4()}/continue/"):
        answer = await ada.client.post(path, content=content, headers=JSON)
        assert answer.status_code in (400, 422), (path, answer.text)
        assert answer.json()["code"] in ("bad_json", "invalid")


TAKING_A_BODY = [
    *(route for route, row in ROWS.items() if row.body is not None),
    *(route for route in sorted(OPEN) if route.startswith("POST")),
]


@pytest.mark.parametrize("route", TAKING_A_BODY)
async def test_bodies_that_are_not_json_in_utf8_are_refused(
    service: Service, ada: Person, route: str
) -> None:
    things = await things_of(service, ada, "failed")
    before = await everything(ada)
    if route in OPEN:
        account = {"email": f"{uuid4()}@example.org", "password": PASSWORD, "refresh": ada.session["refresh"]}
        right = ada.client.build_request(*route.split(" "), json=account)
    else:
        right = things.request(ada.client, route)
    body = right.content.decode()
    assert orjson.loads(body)
    not_json = [
        *(body.encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig")),
        *(body.replace("{", f'{{"a": {number}, ', 1).encode() for number in ("NaN", "Infinity", "-Infinity")),
        body.replace("{", '{"a": "\ud800", ', 1).encode("utf-8", "surrogatepass"),
    ]
    for content in not_json:
        answer = await ada.client.request(right.method, right.url, content=content, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_json"), content
    assert await everything(ada) == before


async def everything(person: Person) -> list[Any]:
    paths = ("/api/auth/me/", "/api/jobs/", "/api/job-messages/", "/api/tickets/", "/api/apps/")
    return [(await person.client.get(path)).json() for path in paths]


async def test_without_a_user_errors_of_a_body_are_not_told(anybody: httpx.AsyncClient) -> None:
    for content in (b"{", b"{}", b"x" * 100):
        answer = await anybody.post("/api/jobs/", content=content, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


async def test_bodies_of_another_kind(ada: Person) -> None:
    body = b'{"prompt": "An idea"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ";;;", "é"):
        answer = await ada.client.post("/api/jobs/", content=body, headers={b"Content-Type": kind.encode()})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_json"), kind
    for kind in ("application/json; charset=utf-8", "application/vnd.api+json", "APPLICATION/JSON"):
        answer = await ada.client.post("/api/jobs/", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 201, kind


async def test_calls_without_a_body_take_any_empty_one(ada: Person) -> None:
    for kind in ("application/json", "text/plain", "multipart/form-data", "nonsense"):
        job_id = await ada.job()
        headers = {"Content-Type": kind, "Idempotency-Key": "k"}
        for call in ("pause", "resume", "start"):
            answer = await ada.client.post(f"/api/jobs/{job_id}/{call}/", content=b"", headers=headers)
            assert answer.status_code in (200, 202), kind


async def test_four_mebibytes(ada: Person) -> None:
    big = b'{"prompt": "' + b"x" * (4 * 1024 * 1024) + b'"}'
    answer = await ada.client.post("/api/jobs/", content=big, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b" " * 64 * 1024

    answer = await ada.client.post("/api/jobs/", content=pieces(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    keyed = {**JSON, "Idempotency-Key": "k"}
    assert (await ada.client.post("/api/jobs/", content=big, headers=keyed)).status_code == 413


JUNK: tuple[Any, ...] = (
    None, True, -1, 2**64, 10**400, 1e308, "", " ", "\0", "x" * 6000, [[]], {"a": 1}, "'; drop table users",
)  # fmt: skip


@pytest.mark.parametrize("route", [route for route in ROWS if route.startswith(("POST", "PATCH"))])
async def test_junk_in_every_field(service: Service, ada: Person, route: str) -> None:
    """No input leads to a 500 or to an undocumented answer."""
    method, template = route.split(" ")
    operation = service.application.openapi()["paths"][template][method.lower()]
    if "requestBody" not in operation:
        return
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    shape = service.application.openapi()["components"]["schemas"][reference.rsplit("/", 1)[1]]
    example = shape["examples"][0]
    ids = dict.fromkeys(("id", "copy_id", "evidence_id"), uuid4())
    url = template.format(job_id=await ada.job(), **ids)
    for name in shape["properties"]:
        for junk in JUNK:
            content = json.dumps({**example, name: junk})
            answer = await ada.client.request(method, url, content=content, headers=JSON)
            assert answer.status_code < 500, (name, junk)


@pytest.mark.parametrize("route", [route for route in routes() if route.startswith("GET /api/")])
async def test_junk_in_every_query(service: Service, ada: Person, route: str) -> None:
    template = route.removeprefix("GET ")
    operation = service.application.openapi()["paths"][template]["get"]
    ids = dict.fromkeys(("id", "copy_id", "evidence_id"), uuid4())
    url = template.format(job_id=await ada.job(), **ids)
    names = [p["name"] for p in operation.get("parameters", []) if p["in"] == "query"]
    for name in names:
        for junk in ("", "x", "-1", "9" * 30, "9" * 5000, "%00", "%ff%fe", "%F0%9F%99%82", "a&a=b", "1e3"):
            answer = await ada.client.get(f"{url}?{name}={junk}")
            assert answer.status_code < 500, (name, junk)
    for junk in ("%00", "%ff", "%2e%2e", "x" * 4000, "%F0%9F%99%82", "{}", "%0d%0aSet-Cookie:a=b"):
        answer = await ada.client.get(template.format(job_id=junk, **dict.fromkeys(ids, junk)))
        assert answer.status_code < 500, junk


async def test_raw_nonsense(service: Service) -> None:
    for request in (
        b"GET /api/jobs/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\xfe\r\nConnection: close\r\n\r\n",
        b"GET /api/jobs/?limit=\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"POST /api/auth/login/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\nConnection: close\r\n\r\n\xff\xff",
        b"NONSENSE\r\n\r\n",
    ):
        answer = await raw(service, request)
        status = int(answer.split(b" ")[1])
        assert 400 <= status < 500, answer


# Faults of the service, and too many requests


async def test_a_fault_of_the_service(
    service: Service, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ada = await service.person()

    def burst(self: Throttle, user_id: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Throttle, "take", burst)
    answer = await ada.client.get("/api/jobs/", headers={"Origin": "http://localhost:5173"})
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "bug" not in answer.text
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    await ada.client.aclose()


async def test_too_many_requests(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, grace = await service.person(), await service.person()
    house = service.application.state.house
    monkeypatch.setattr(house.throttle, "_burst", 3)
    monkeypatch.setattr(house.throttle, "_per_second", 0.001)
    origin = {"Origin": "http://localhost:5173"}
    answers = [await ada.client.get("/api/jobs/", headers=origin) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [answer.headers.get("retry-after") for answer in answers] == [None, None, None, "1", "1"]
    assert answers[-1].headers["access-control-allow-origin"] == "*"
    assert (await grace.client.get("/api/jobs/")).status_code == 200
    for person in (ada, grace):
        await person.client.aclose()


def test_the_throttle_leaves_room() -> None:
    now = 0.0
    throttle = Throttle(clock=lambda: now)
    user = uuid4()
    for _ in range(200):
        throttle.take(user)
    for _ in range(600):
        now += 0.1
        throttle.take(user)
    tight = Throttle(2, 1.0, clock=lambda: now)
    tight.take(user)
    tight.take(user)
    with pytest.raises(TooMany):
        tight.take(user)
    now += 1.0
    tight.take(user)
