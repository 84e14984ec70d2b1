"""Previews of slow, broken or hostile apps: a clear error page, limits of time and memory, no harm to
others."""

import resource
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from app.api.previews import door, exchange
from app.api.previews.pages import died
from tests.helpers.previewed import Shown
from tests.helpers.waiting import until

BROKEN = [
    "/garbage",
    "/silent-end",
    "/status",
    "/control",
    "/split",
    "/bad-chunk",
    "/switch",
    "/endless-headers",
    "/endless-line",
    "/endless-interim",
]
CUT = "/bad-chunk"
"""The path whose answer breaks off after its head was sent."""


@pytest.mark.parametrize("path", BROKEN)
async def test_no_proper_answer(shown: Shown, path: str) -> None:
    if path == CUT:
        with pytest.raises(httpx.RemoteProtocolError):
            await shown.get(path)
    else:
        answer = await shown.get(path)
        assert (answer.status_code, answer.headers.get("set-cookie")) == (502, None)
    assert (await shown.get()).status_code == 200


async def test_an_answer_that_breaks_off_looks_broken_off(shown: Shown) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await shown.get("/short")


async def test_no_answer(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "ANSWER_S", 0.3)
    monkeypatch.setattr(exchange, "IDLE_S", 0.3)
    answer = await shown.get("/never")
    assert answer.status_code == 504
    with pytest.raises(httpx.RemoteProtocolError):
        await shown.get("/stalled")


@pytest.mark.parametrize("path", ["/endless-body", "/tiny-chunks"])
async def test_a_flood(shown: Shown, path: str) -> None:
    """It is read only as fast as the client reads, and ends with the client. Others are served meanwhile."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with shown.browser() as browser, browser.stream("GET", path) as answer:
        taken, longest, pieces = 0, 0.0, answer.aiter_raw()
        while taken < 300_000:
            taken += len(await anext(pieces))
        for _ in range(20):  # the flood is not read now
            began = time.perf_counter()
            async with shown.service.client() as client:
                assert (await client.get("/healthz")).status_code == 200
            longest = max(longest, time.perf_counter() - began)
        assert longest < 1.0
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 100 * 1024
    await until(lambda: not shown.service.application.state.previews._open)  # the app's end is closed too


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large(
    shown: Shown, declared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "MAX_BODY_BYTES", 1_000_000)
    content = b"x" * 1_000_001

    async def pieces() -> AsyncIterator[bytes]:
        yield content[:600_000]
        yield content[600_000:]

    async with shown.browser() as browser:
        answer = await browser.post("/echo", content=content if declared else pieces())
        assert answer.status_code == 413
        assert (await browser.post("/echo", content=content[1:])).json()["size"] == 1_000_000


async def test_too_many_at_once(own: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_OPEN", 2)
    async with own.socket(), own.socket():
        answer = await own.get()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")

    async def served() -> bool:
        return (await own.get()).status_code == 200

    await until(served)


async def test_an_app_that_has_died(own: Shown) -> None:

    async def told() -> httpx.Response | None:
        answer = await own.get("/die")
        return answer if "goodbye" in answer.text else None

    await until(told)
    answer = await own.get()
    assert answer.status_code == 502
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; goodbye" in answer.text
    assert "exit code 7" in answer.text
    assert "<script" not in answer.text
    assert (await own.status())["preview_url"] is None
    first = own.url
    assert await own.open() != first
    assert (await own.get()).status_code == 200


def test_a_log_without_end() -> None:
    assert len(died(1, "x" * 100_000).body) < 12_000


async def test_an_app_that_never_listens(built: Shown) -> None:
    async with built.workspace() as workspace:
        content = (await workspace.read("boardroom.json")).content
        await workspace.save("boardroom.json", content.replace(b"exec python3 server.py", b"sleep 60"))
    await built.open()
    assert (await built.status())["preview_url"] is None
    answer = await built.get()
    assert answer.status_code == 503
    assert "The app is starting" in answer.text
