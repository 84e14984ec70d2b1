"""A headless Chromium, controlled by the DevTools protocol."""

import asyncio
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
LIFE_S = "100"
"""Seconds after which the browser is ended, even if the test has died."""

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)


class Page:
    """One tab."""

    def __init__(self, connection: ClientConnection, port: str) -> None:
        self._connection = connection
        self._port = port
        self._numbers = itertools.count(1)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._connection.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := json.loads(await self._connection.recv())).get("id") != number:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    @asynccontextmanager
    async def beside(self) -> AsyncIterator["Page"]:
        """Another tab of the same browser."""
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        async with _tab(f"ws://127.0.0.1:{self._port}/devtools/page/{target}", self._port) as page:
            yield page

    async def open(self, url: str) -> None:
        result = await self.call("Page.navigate", url=url)
        assert "errorText" not in result, result

    async def value(self, script: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, script: str, within_s: float = 20) -> Any:
        """Wait until an expression is true. While a page is being left, expressions fail."""
        async with asyncio.timeout(within_s):
            while not (found := await self.value(script)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def browse(folder: Path) -> AsyncIterator[Page]:
    """A tab of a new browser, whose profile is in `folder`."""
    assert PROGRAM
    process = await asyncio.create_subprocess_exec(
        "timeout",
        "-k1",
        LIFE_S,
        PROGRAM,
        *FLAGS,
        f"--user-data-dir={folder}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port = await _port(folder / "DevToolsActivePort")
        async with httpx.AsyncClient(trust_env=False) as client:
            tabs = (await client.get(f"http://127.0.0.1:{port}/json/list")).json()
        address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        async with _tab(address, port) as page:
            yield page
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def _tab(address: str, port: str) -> AsyncIterator[Page]:
    async with connect(address, max_size=None, proxy=None) as connection:
        yield Page(connection, port)


async def _port(told: Path) -> str:
    async with asyncio.timeout(30):
        while not (told.exists() and (lines := told.read_text().split())):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return lines[0]
