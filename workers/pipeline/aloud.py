"""What commands and checks of a ticket print, as it comes, for sockets that asked to see it.

It is told over the bus, not stored or numbered, at a bounded rate: what comes faster loses its middle.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import orjson

from workers.context import Context

FLUSH_S = 0.25
MAX_CHARS = 8000
LEFT_OUT = "\n[…]\n"


class _Output:
    """Its first and its last half of what was heard since it was last told."""

    def __init__(self) -> None:
        self._head, self._tail = "", ""
        self._cut = False
        self.more = asyncio.Event()

    def hear(self, text: str) -> None:
        room = MAX_CHARS // 2 - len(self._head)
        self._head += text[:room]
        self._tail += text[room:]
        if len(self._tail) > MAX_CHARS // 2:
            self._tail, self._cut = self._tail[-MAX_CHARS // 2 :], True
        self.more.set()

    def take(self) -> str:
        text = self._head + (LEFT_OUT if self._cut else "") + self._tail
        self._head, self._tail, self._cut = "", "", False
        self.more.clear()
        return text


@asynccontextmanager
async def aloud(context: Context, ticket_id: UUID | None) -> AsyncIterator[Callable[[str], None]]:
    """Tell what is heard within the block as `ticketLog`s of the ticket; without one nobody is told."""
    output = _Output()

    async def tell() -> None:
        text = output.take()
        if text and ticket_id is not None:
            body = {
                "kind": "ticketLog",
                "jobId": str(context.job_id),
                "ticketId": str(ticket_id),
                "text": text,
            }
            await context.resources.bus.whisper(context.job_id, orjson.dumps(body).decode())

    async def keep_telling() -> None:
        while True:
            await output.more.wait()
            await tell()
            await asyncio.sleep(FLUSH_S)

    telling = asyncio.create_task(keep_telling(), name=f"aloud {context.job_id}")
    try:
        yield output.hear
    finally:
        telling.cancel()
        await asyncio.wait([telling])
        await tell()
