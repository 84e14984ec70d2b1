"""The host of a preview and the host of the service are kept apart."""

import asyncio
import socket
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.api.previews.headers import for_the_app
from app.domain.preview_origin import PreviewOrigin
from tests.helpers.previewed import Shown

UNKNOWN = "a" * 32
OURS = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/api/auth/me/", "/api/jobs/")


async def test_a_preview_host_does_not_serve_our_routes(shown: Shown) -> None:
    async with shown.browser(headers=dict(shown.owner.client.headers)) as browser:
        browser.headers["Host"] = shown.host
        for path in OURS:
            answer = await browser.get(path)
            assert answer.json()["line"] == f"GET {path} HTTP/1.1", path  # the app's own
        made = await browser.post("/api/jobs/", json={"prompt": "Hijacked"})
        assert made.json()["line"].startswith("POST /api/jobs/")
    assert "x-request-id" not in made.headers


@pytest.mark.parametrize(
    "host",
    [
        f"{UNKNOWN}.localhost",
        f"{UNKNOWN.upper()}.LOCALHOST.",
        f"x.{UNKNOWN}.localhost",
        f"a.b.{UNKNOWN}.localhost",
        f"x.{UNKNOWN}.preview.localhost",
    ],
)
async def test_no_other_preview_host_serves_our_routes(shown: Shown, host: str) -> None:
    for path in OURS:
        async with shown.browser(f"{host}:{shown.port}", headers=dict(shown.owner.client.headers)) as browser:
            browser.headers["Host"] = f"{host}:{shown.port}"
            answer = await browser.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors http: https:" in policy  # it is shown where the app would be
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "host",
    ["localhost", "preview.localhost", "x.localhost", f"{'a' * 31}.localhost", f"{'0' * 32}.localhost"],
)
async def test_names_that_are_no_token_are_ours(shown: Shown, host: str) -> None:
    async with shown.browser(f"{host}:{shown.port}") as browser:
        assert (await browser.get("/healthz")).json() == {"status": "ok"}


async def test_an_address_of_an_earlier_version_leads_to_the_new_one(shown: Shown) -> None:
    former = shown.host.replace(".localhost", ".preview.localhost")
    for method, path in (("GET", "/"), ("POST", "/a%20b?x=1&y=%2F")):
        async with shown.browser(former) as browser:
            answer = await browser.request(method, path)
        assert (answer.status_code, answer.headers["location"]) == (307, f"{shown.url}{path}")
        assert answer.headers["cache-control"] == "no-store"
        assert shown.host.partition(".")[0] not in answer.text
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://{former}/ws", host="127.0.0.1", port=shown.port, proxy=None):
            pass
    assert refused.value.response.status_code == 404  # no browser follows a socket elsewhere


async def test_a_request_with_two_hosts_is_refused(shown: Shown) -> None:
    ours = urlsplit(shown.service.url).netloc
    for hosts in ([ours, shown.host], [shown.host, ours]):
        lines = ["GET /healthz HTTP/1.1", *(f"Host: {host}" for host in hosts), "Connection: close", "", ""]
        reader, writer = await asyncio.open_connection("127.0.0.1", shown.port)
        writer.write("\r\n".join(lines).encode())
        answer = await reader.read()
        writer.close()
        assert answer.split(b" ")[1] in (b"400", b"404"), answer


async def test_pages_of_a_preview_may_not_call_the_api(shown: Shown) -> None:
    former = shown.url.replace(".localhost", ".preview.localhost")
    for origin in (shown.url, f"http://{shown.host.upper()}", f"http://x.{shown.host}", former):
        answer = await shown.owner.client.get("/api/auth/me/", headers={"Origin": origin})
        assert "access-control-allow-origin" not in answer.headers, origin
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        answer = await shown.owner.client.options("/api/auth/me/", headers=asked)
        assert "access-control-allow-origin" not in answer.headers, origin
        made = await shown.owner.client.post("/api/jobs/", json={"prompt": "x"}, headers={"Origin": origin})
        assert (made.status_code, made.json()["code"]) == (403, "foreign_origin"), origin
    other = await shown.owner.client.get("/api/auth/me/", headers={"Origin": "http://localhost:5173"})
    assert other.headers["access-control-allow-origin"] == "*"


async def test_pages_of_a_preview_may_not_open_our_sockets(shown: Shown) -> None:
    url = f"ws://127.0.0.1:{shown.port}/ws/jobs/{shown.job_id}/"
    cookie = {"Cookie": f"boardroom_access={shown.owner.session['access']}"}
    async with connect(url, origin=shown.url, additional_headers=cookie, proxy=None) as socket:  # type: ignore[arg-type]
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert socket.close_code == 1008


async def test_a_preview_host_does_not_serve_our_sockets(shown: Shown) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with shown.socket(f"/ws/jobs/{shown.job_id}/"):
            pass
    assert refused.value.response.status_code == 502  # the app's answer is no WebSocket handshake
    host = f"{UNKNOWN}.localhost"
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"ws://{host}/ws/jobs/x/", host="127.0.0.1", port=shown.port, proxy=None):
            pass
    assert refused.value.response.status_code == 404


async def test_the_token_is_no_credential_of_ours(shown: Shown) -> None:
    token = shown.host.partition(".")[0]
    async with httpx.AsyncClient(base_url=shown.service.url) as client:
        for credential in (token, f"x.{token}.x"):
            answer = await client.get("/api/auth/me/", headers={"Authorization": f"Bearer {credential}"})
            assert answer.status_code == 401


async def test_the_database_does_not_know_the_token(shown: Shown) -> None:
    async with shown.service.resources.look() as session:
        rows = await session.execute(text("select previews::text from previews"))
        assert shown.host.partition(".")[0] not in str(rows.all())


@pytest.mark.parametrize(
    "template",
    [
        "http://localhost",
        "http://{token}",
        "http://x-{token}.example.org",
        "http://a.{token}.example.org",
        "ftp://{token}.example.org",
        "http://{token}.example.org/path",
        "{token}.example.org",
        "",
    ],
)
def test_invalid_templates(template: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        PreviewOrigin(template)


def test_templates() -> None:
    default = PreviewOrigin("http://{token}.localhost:{port}")
    assert default.url_for("t", "127.0.0.1:8000") == "http://t.localhost:8000"
    assert default.url_for("t", "[::1]:8000") == "http://t.localhost:8000"
    assert default.url_for("t", "example.org") == "http://t.localhost"
    assert default.url_for("t", "a:b") == "http://t.localhost"
    assert not default.is_shared
    public = PreviewOrigin("https://{token}.apps.example.net")
    assert public.url_for("t", "boardroom.example.net:8000") == "https://t.apps.example.net"
    token = "a2" * 16
    assert public.token_of(f"{token}.apps.example.net:443") == token
    assert public.token_of(f"{token}.apps.example.net.evil") is None
    assert not public.holds("boardroom.example.net")
    assert not public.holds("xapps.example.net")
    assert not public.holds("apps.example.net")
    assert not public.holds("x.apps.example.net")
    assert public.holds(f"{token}.apps.example.net")
    assert public.holds(f"x.{token}.apps.example.net")
    assert public.is_shared


def test_our_cookies_are_never_forwarded() -> None:
    lines = [b"boardroom_access=x", b" boardroom_access =x;a=1", b"c=d;;boardroom_access=x", b'"q"=1']
    passed = for_the_app([(b"Cookie", line) for line in lines], client="", scheme="http")
    assert dict(passed)[b"cookie"] == b'a=1; c=d; "q"=1'


def test_a_name_below_is_reachable_in_browsers_only() -> None:
    """The default origin needs that *.localhost is this machine, which browsers know without a name
    server."""
    assert socket.gethostbyname("localhost").startswith("127.")
