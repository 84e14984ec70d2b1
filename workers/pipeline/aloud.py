"""Output of commands and checks of a ticket, sent live to sockets that ask for it (`?logs=1`).

It is sent over the bus, neither stored nor numbered, at a limited rate: of faster output the middle is left
out.
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
    """The output since the last message: its beginning and its end, MAX_CHARS together."""

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
    """Send what the given function gets inside the block as `ticketLog` messages. Without a ticket nothing is
    sent."""
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
