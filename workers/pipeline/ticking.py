"""Says every few seconds what a run is doing, to sockets that ask for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from workers.context import Context
from workers.progress import Doing

EVERY_S = 3.0


@asynccontextmanager
async def ticking(context: Context) -> AsyncIterator[None]:
    """Send `progress` messages until the end of the block, as long as something is going on."""
    task = asyncio.create_task(_tick(context), name=f"progress {context.job_id}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _tick(context: Context) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        if (now := context.progress.now) is not None:
            await context.resources.bus.whisper(context.job_id, _payload(context, now))


def _payload(context: Context, now: Doing) -> str:
    body = {"kind": "progress", "jobId": str(context.job_id), "text": str(now)}
    if now.ticket_id is not None:
        body["ticketId"] = str(now.ticket_id)
    return orjson.dumps(body).decode()
