"""Use of an app through its preview, by HTTP and WebSocket as in a browser."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.helpers.previewed import Shown
from tests.helpers.rows import add_app
from tests.helpers.waiting import until

CANARY = "canary-6f2c1d"


async def test_a_page(built: Shown) -> None:
    answer = await built.preview()
    assert answer.status_code == 200
    offer = answer.json()
    assert offer["url"].endswith(f".localhost:{built.port}")
    assert 0 < 12 * 3600 - offer["expires_in"] < 60 or offer["expires_in"] == 12 * 3600
    assert (await built.preview()).json()["url"] == offer["url"]
    assert (await built.status())["preview_url"] == offer["url"]
    built.url = offer["url"]
    page = await built.get()
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html")
    assert "Reading list" in page.text
    assert built.job_id not in offer["url"]


async def test_the_specification_says_where(built: Shown) -> None:
    app_id = await add_app(built.service.resources, built.job_id)
    paths = (f"/api/apps/{app_id}/", f"/api/apps/by-job/{built.job_id}/")
    for path in paths:
        assert "frontend_url" not in (await built.owner.client.get(path)).json()["spec"]
    url = await built.open()
    for path in paths:
        assert (await built.owner.client.get(path)).json()["spec"]["frontend_url"] == url


@pytest.mark.parametrize("declared", [True, False])
async def test_bodies(shown: Shown, declared: bool) -> None:
    content = bytes(range(256)) * 8192  # 2 MiB

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 100_000):
            yield content[at : at + 100_000]

    async with shown.browser() as browser:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            sent = content if declared else pieces()
            answer = await browser.request(method, "/a%20b/c?x=1&y=%2F", content=sent)
            seen = answer.json()
            assert seen["line"] == f"{method} /a%20b/c?x=1&y=%2F HTTP/1.1"
            assert (seen["size"], seen["digest"]) == (len(content), hashlib.sha256(content).hexdigest())


async def test_a_stream(shown: Shown) -> None:
    async with shown.browser() as browser, browser.stream("GET", "/events") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: one"  # it arrives before the app sends the rest
        await shown.get("/release")
        assert [line async for line in lines] == ["", "data: two", ""]


async def test_downloads(shown: Shown) -> None:
    answers = await asyncio.gather(*(shown.get("/large") for _ in range(8)))
    assert {hashlib.sha256(answer.content).hexdigest() for answer in answers} == {
        hashlib.sha256(bytes(range(256)) * 4096).hexdigest()
    }


async def test_answers_of_all_kinds(shown: Shown) -> None:
    assert (await shown.get("/304")).status_code == 304
    async with shown.browser() as browser:
        head = await browser.head("/large")
        assert (head.status_code, head.headers["content-length"]) == (200, str(2**20))
        early = await browser.post("/early", content=b"x" * 1_000_000)
        assert (early.status_code, early.text) == (403, "no")
    assert (await shown.get("/both")).text == "hi"
    assert (await shown.get("/long")).text == "xx"


async def test_requests_that_reach_the_box(shown: Shown) -> None:
    headers = {
        "Authorization": f"Bearer {CANARY}",
        "Proxy-Authorization": f"Basic {CANARY}",
        "Cookie": f"theme=dark; boardroom_access={CANARY}; Boardroom_Access={CANARY}; b=2",
        "Connection": "X-Hop",
        "X-Hop": CANARY,
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Host": CANARY,
        "Forwarded": f"for={CANARY}",
        "X-Real-IP": CANARY,
        "X-Own": "kept",
    }
    seen = (await shown.get("/seen", headers=headers)).json()["headers"]
    assert CANARY not in str(seen)
    assert (seen["cookie"], seen["x-own"], seen["host"]) == ("theme=dark; b=2", "kept", shown.host)
    assert seen["x-forwarded-for"] == "127.0.0.1"  # nobody is trusted as a proxy unless the operator says so
    assert (seen["x-forwarded-host"], seen["x-forwarded-proto"]) == (shown.host, "http")
    del headers["Connection"]
    async with shown.socket(additional_headers=headers) as socket:
        await socket.send("seen")
        heard = str(await socket.recv())
    assert CANARY not in heard.replace('"x-hop": "canary-6f2c1d"', "")
    assert "theme=dark; b=2" in heard


async def test_answers_that_leave_the_box(shown: Shown) -> None:
    answer = await shown.get("/cookies")
    assert answer.headers.get_list("set-cookie") == ["a=1; Path=/; HttpOnly", "b=2"]
    assert answer.headers["referrer-policy"] == "same-origin"
    for name in ("x-private", "x-accel-redirect", "x-accel-buffering", "x-sendfile"):
        assert name not in answer.headers, name
    assert answer.headers["clear-site-data"] == '"storage"'  # its site is its own
    assert answer.headers["x-public"] == "1"
    assert len(answer.headers.get_list("date")) == len(answer.headers.get_list("server")) == 1


async def test_a_socket(shown: Shown) -> None:
    async with shown.socket(subprotocols=["vite-hmr"]) as socket:
        assert socket.subprotocol == "vite-hmr"
        assert socket.response is not None
        assert "Domain" not in socket.response.headers["Set-Cookie"]
        await socket.send("Bücher")
        assert await socket.recv() == "Bücher"
        await socket.send(b"\x00\xff" * 20_000)
        assert await socket.recv() == b"\x00\xff" * 20_000
        await socket.send("pieces")
        assert await socket.recv() == "Bücher"
        await socket.close(4321, "bye")
    assert socket.close_code == 4321

    async with shown.workspace() as workspace:

        async def closed() -> bool:
            return "closed with 4321" in (await workspace.app_status()).log_tail

        await until(closed)


@pytest.mark.parametrize(
    ("word", "code", "reason"),
    [
        ("close", 4000, "enough"),
        ("drop", 1014, "the app is gone"),
        ("huge", 1009, ""),
        ("nonsense", 1002, ""),
    ],
)
async def test_how_the_app_ends_a_socket(shown: Shown, word: str, code: int, reason: str) -> None:
    async with shown.socket() as socket:
        await socket.send(word)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert (socket.close_code, socket.close_reason) == (code, reason)


async def test_a_socket_that_the_app_refuses(shown: Shown) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with shown.socket("/early"):
            pass
    assert refused.value.response.status_code == 403
