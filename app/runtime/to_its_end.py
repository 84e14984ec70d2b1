"""Work that must not be left half done because its task was cancelled."""

import asyncio
from collections.abc import Coroutine


async def to_its_end(work: Coroutine[None, None, None], within_s: float | None = None) -> None:
    """Await `work` to its end, also while this task is cancelled, however often; raises CancelledError then.
    `within_s` is how long it may still take after the first time."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    cancelled = False
    ends: float | None = None
    while not task.done():
        try:
            await asyncio.wait([task], timeout=None if ends is None else max(0.0, ends - loop.time()))
        except asyncio.CancelledError:
            if not cancelled and within_s is not None:
                ends = loop.time() + within_s
            cancelled = True
        if ends is not None and loop.time() >= ends:
            task.cancel()
    if cancelled:
        await asyncio.gather(task, return_exceptions=True)
        raise asyncio.CancelledError
    task.result()
