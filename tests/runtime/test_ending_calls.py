"""The guest's calls are ended once, and who ends them waits for it."""

import asyncio
from typing import Any

from app.runtime.guest.main import Attachment


async def test_a_call_that_is_ended_twice_is_waited_for_by_both() -> None:
    """By a newer fence and, as its client goes, by the end of its link: what it runs may still be dying."""
    link: Any = object()
    stream: Any = object()
    attachment = Attachment(link, 1)
    gone, begun = asyncio.Event(), asyncio.Event()

    async def call() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await gone.wait()

    attachment.calls[stream] = task = asyncio.create_task(call())
    await begun.wait()
    ending = []
    for _ in range(2):
        ending.append(asyncio.create_task(attachment.end_calls()))
        for _ in range(10):
            await asyncio.sleep(0)
    assert not any(each.done() for each in (task, *ending))
    gone.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*ending)
    assert task.done()
