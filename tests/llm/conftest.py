"""A scripted server of models, and the end of every connection to one."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.helpers.model_server import Server, open_server
from workers.llm import claude, client, gemini, provider, responses
from workers.llm.endpoint import TimeLimits


@pytest.fixture(autouse=True)
async def no_connection_is_left(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A model is open as long as its worker. Here its connections end with the test: a real server keeps
    them, and what is found open later fails whatever test runs then."""
    opened = list[httpx2.AsyncClient]()

    def remembered(times: TimeLimits, url: str) -> httpx2.AsyncClient:
        opened.append(client.open_client(times, url))
        return opened[-1]

    for module in (provider, claude, responses, gemini):
        monkeypatch.setattr(module, "open_client", remembered)
    yield
    for each in opened:
        await each.aclose()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with open_server() as opened:
        yield opened
