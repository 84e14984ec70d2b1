"""Background tasks of a web process, which run as long as it serves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

AGAIN_S = 1.0
"""Seconds between a failure and the next try."""

Work = Callable[[], Awaitable[None]]

log = structlog.get_logger()


@asynccontextmanager
async def kept_up(name: str, work: Work) -> AsyncIterator[None]:
    """Run `work`, which never returns, while this is open. After a failure it is started again."""
    task = asyncio.create_task(_keep_up(name, work), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _keep_up(name: str, work: Work) -> None:
    while True:
        try:
            await work()
        except Exception as error:  # of any kind: all sockets and previews depend on this task
            log.error("background.broken", work=name, exc_info=error)
        await asyncio.sleep(AGAIN_S)
