"""A client's end of a WebSocket, and the events that it has to hear."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from app.actions import changes
from app.resources import Resources
from app.store.events import StoredLog
from tests.helpers.rows import take_any


async def tell(resources: Resources, job_id: UUID, *words: str) -> None:
    """Commit one unit with one event for each word."""
    async with resources.unit() as unit:
        job = await take_any(unit, job_id)
        for word in words:
            changes.describe(unit, job, "Builder", word, "building")


async def stored(resources: Resources, job_id: UUID) -> list[dict[str, Any]]:
    events = await StoredLog(resources.pool).after(job_id, 0, 100_000)
    return [json.loads(event.payload) for event in events]


class Socket:
    """A client's end of a WebSocket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def hear(self, within_s: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(within_s):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
        return frame

    async def hear_all(self, count: int) -> list[dict[str, Any]]:
        return [await self.hear() for _ in range(count)]

    async def say(self, **frame: Any) -> None:
        await self.connection.send(json.dumps(frame))

    async def pings(self) -> list[dict[str, Any]]:
        """All messages that arrive before the answer to a ping that is sent now."""
        await self.say(kind="ping")
        heard = []
        while (frame := await self.hear()) != {"kind": "pong"}:
            heard.append(frame)
        return heard

    async def hear_to_the_end(self, within_s: float = 10) -> list[dict[str, Any]]:
        """All messages that arrive before the connection is closed."""
        heard = []
        async with asyncio.timeout(within_s):
            try:
                while True:
                    heard.append(await self.hear(within_s))
            except ConnectionClosed:
                return heard

    async def closed(self, within_s: float = 10) -> int | None:
        """The code with which the socket is closed. No message may arrive before."""
        assert await self.hear_to_the_end(within_s) == []
        return self.connection.close_code


@asynccontextmanager
async def open_socket(url: str, access: str | None = None, **options: Any) -> AsyncIterator[Socket]:
    headers = {"Authorization": f"Bearer {access}"} if access else {}
    headers |= options.pop("headers", {})
    options = {"compression": None, "max_size": None, "ping_interval": None, **options}
    async with connect(url, additional_headers=headers, proxy=None, **options) as connection:
        yield Socket(connection)
