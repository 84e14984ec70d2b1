"""Waiting for conditions of which no event tells."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def until(true: Callable[[], Awaitable[Any] | Any], within_s: float = 40) -> Any:
    """Wait until `true` returns, or its coroutine returns, a true value, and return that. TimeoutError after
    `within_s` seconds."""
    async with asyncio.timeout(within_s):
        while True:
            found = true()
            if inspect.isawaitable(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.01)


def wait_for(true: Callable[[], object], within_s: float = 10) -> None:
    """As `until`, for tests without an event loop. AssertionError after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, f"still not so after {within_s} s"
        time.sleep(0.01)
