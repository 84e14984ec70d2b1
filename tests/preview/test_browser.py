"""A preview in a real browser: as a page of its own, and in a frame of another page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.helpers.previewed import Shown
from tests.preview.browser import PROGRAM, browse

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="There is no Chromium or Chrome on PATH.")

ADD = """
document.querySelector("input").value = "Emma & <b>Knightley</b>"
document.querySelector("form").submit()
"""
FRAME = """
onmessage = said => { document.title = said.data }
document.body.append(Object.assign(document.createElement("iframe"), { src: "URL" }))
"""


@asynccontextmanager
async def page_of_others() -> AsyncIterator[str]:
    """The address of a page that is none of ours."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
        writer.write(head + b"<!doctype html><title>Around</title><body>")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def test_using_an_app(shown: Shown, tmp_path: Path) -> None:
    async with browse(tmp_path) as page:
        await page.open(f"{shown.url}/shelf")
        await page.until("document.title == 'from the box'")  # sent over a WebSocket
        await page.value(ADD)
        listed = await page.until("document.querySelector('li')?.innerText")
        assert listed == "Emma & <b>Knightley</b>"

        ours = shown.service.url
        for call in (f"fetch('{ours}/healthz')", f"fetch('{ours}/api/jobs/', {{credentials: 'include'}})"):
            assert await page.value(f"{call}.then(() => 'read', () => 'refused')") == "refused"
        seen = await page.value("fetch('/seen').then(answer => answer.json())")
        assert "added=yes" in seen["headers"]["cookie"]


async def test_in_a_frame(shown: Shown, tmp_path: Path) -> None:
    async with browse(tmp_path) as page, page_of_others() as around:
        await page.open(around)
        await page.until("document.title == 'Around'")
        await page.value(FRAME.replace("URL", f"{shown.url}/shelf"))
        await page.until("document.title == 'from the box'")


async def test_a_page_of_ours(own: Shown, tmp_path: Path) -> None:
    """While the app starts again after a crash, the waiting page reloads by itself."""
    async with browse(tmp_path) as page:
        await page.open(f"{own.url}/die")
        await page.until("document.title.startsWith('The app')")
        await page.open(f"{own.url}/")
        await page.until("document.title == 'Books'")
