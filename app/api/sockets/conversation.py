"""One accepted socket: it reads the client's messages, writes events from a bounded queue, and knows why it
ends."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from fastapi import WebSocket, WebSocketDisconnect

from app import metrics
from app.actions.chat import say
from app.api.sockets.codes import Close
from app.api.sockets.frames import PONG, Ping, error_frame, read_frame, synced_frame
from app.domain.errors import Invalid, NotFound, Refusal, TooMany
from app.domain.events import WHISPERED
from app.events.bus import Numbered
from app.events.hub import Pump
from app.resources import Resources
from app.store.users import SignedIn

MAX_QUEUED = 1000
MAX_QUEUED_CHARS = 4 * 1024 * 1024
"""How much may wait for a client that reads slowly. Beyond it the socket is closed; the client reconnects and
gets what it has missed from the log."""

MAX_QUEUED_WHISPERS = 100

MAX_MESSAGES, MESSAGES_WINDOW_S = 20, 10.0
"""How many messages a client may send in how many seconds."""


class Conversation:
    """`app.events.hub.Seat` on a WebSocket."""

    def __init__(self, websocket: WebSocket, resources: Resources, visitor: SignedIn, job_id: UUID) -> None:
        self.visitor = visitor
        self._websocket = websocket
        self._write_now: Callable[[str], bool] = websocket.state.write_now
        self._resources = resources
        self._job_id = job_id
        self._replays = False
        query = websocket.query_params
        asked = {name for name in query if name == "since" or query[name] == "1"}
        self._wants = tuple(
            f'{{"kind":"{kind}"' for kind, names in WHISPERED.items() if not asked.isdisjoint(names)
        )
        self._left = False
        self._queue: list[str] = []  # almost always empty; an empty deque takes 760 bytes
        self._queued_chars = 0
        self._wake = asyncio.Event()
        self._ending: asyncio.Future[Close] = asyncio.get_running_loop().create_future()
        self._arrivals: list[float] = []

    async def run(self, pump: Pump, head: int) -> Close:
        """Serve until there is a reason to close the socket, which is returned. `head` is the number of the
        last event, read before the socket was accepted. Raises WebSocketDisconnect when the client leaves,
        Unavailable when the log cannot be read."""
        start = self._start(self._websocket.query_params.get("since"), head)
        writer = asyncio.create_task(self._write(pump, start, head))
        try:
            return await self._listen(writer)
        finally:
            pump.leave(self)
            writer.cancel()
            await asyncio.wait([writer])

    def end(self, code: Close) -> None:
        """Have the socket closed for this reason, unless there is another already. Does not block."""
        if not self._ending.done():
            self._ending.set_result(code)

    async def replay(self, events: Sequence[Numbered]) -> None:
        at_once = 0
        try:
            for event in events:
                if self._write_now(event.payload):
                    at_once += 1
                else:
                    await self._send(event.payload)
        finally:
            metrics.events_delivered.inc(at_once)
        await self._drain()

    def joined(self, seq: int) -> None:
        if self._replays:
            self.hear(synced_frame(str(self._job_id), seq))

    def hear(self, payload: str) -> None:
        if not self._queue and self._write_now(payload):
            metrics.events_delivered.inc()
            return
        self._queued_chars += len(payload)
        self._queue.append(payload)
        self._wake.set()
        if len(self._queue) > MAX_QUEUED or (len(self._queue) > 1 and self._queued_chars > MAX_QUEUED_CHARS):
            self.end(Close.TOO_SLOW)

    def overhear(self, payload: str) -> None:
        """A piece of a reply or of output that is still being made, or what goes on. Dropped for a client
        that reads too slowly."""
        if payload.startswith(self._wants) and len(self._queue) < MAX_QUEUED_WHISPERS:
            self.hear(payload)

    def gone(self) -> None:
        self.end(Close.GONE)

    def broken(self) -> None:
        self.end(Close.OUR_FAULT)

    def _start(self, since: str | None, head: int) -> int:
        """The number after which this socket's events begin. A `since` that is not usable is answered with an
        `error` first."""
        if since is None:
            return head
        if not (since.isascii() and since.isdigit()):
            self.hear(error_frame(Invalid("since must be the number of an event.", code="bad_since")))
            return head
        # A longer number is greater than any `seq`, and may be too long for int() and PostgreSQL.
        if len(since) > 18 or int(since) > head:
            refusal = Invalid(f"since is ahead of the log, which ends at {head}.", code="since_ahead")
            self.hear(error_frame(refusal, lastSeq=head))
            return head
        self._replays = True
        return int(since)

    async def _write(self, pump: Pump, start: int, head: int) -> None:
        await self._drain()
        await pump.join(self, start, head)
        while True:
            await self._drain()
            self._wake.clear()
            await self._wake.wait()

    async def _drain(self) -> None:
        while self._queue:
            await self._send(self._queue[0])
            # Removed only after it was written: a cancelled send writes nothing, and nothing may be skipped.
            self._queued_chars -= len(self._queue.pop(0))

    async def _send(self, text: str) -> None:
        """Does nothing after the client has left. What it sent before that is still read."""
        if self._left:
            return
        try:
            await self._websocket.send({"type": "websocket.send", "text": text})
        except WebSocketDisconnect:
            self._left = True
        else:
            metrics.events_delivered.inc()

    async def _listen(self, writer: asyncio.Task[None]) -> Close:
        """Handle the client's messages. One that is being handled is finished even if the socket has to
        end."""
        while True:
            arrival = asyncio.create_task(self._websocket.receive())
            try:
                first: set[asyncio.Future[Any]] = {arrival, writer, self._ending}
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if self._ending.done():
                    return self._ending.result()
                if writer.done():
                    await writer
                message = arrival.result()
            finally:
                arrival.cancel()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
            if self._too_many():
                detail = f"At most {MAX_MESSAGES} messages in {MESSAGES_WINDOW_S:g} seconds."
                self.hear(error_frame(TooMany(detail, code="too_many_messages")))
                self.end(Close.TOO_MANY_MESSAGES)
            else:
                await self._take(message)

    def _too_many(self) -> bool:
        now = asyncio.get_running_loop().time()
        full = len(self._arrivals) == MAX_MESSAGES and now - self._arrivals[0] < MESSAGES_WINDOW_S
        self._arrivals = [*self._arrivals[1 - MAX_MESSAGES :], now]
        return full

    async def _take(self, message: Any) -> None:
        try:
            frame = read_frame(message.get("text"))
            if isinstance(frame, Ping):
                self.hear(PONG)
            else:
                visitor = self.visitor
                await say(self._resources, visitor.user_id, visitor.sender, self._job_id, frame.content)
        except NotFound:
            self.gone()
        except Refusal as refusal:
            self.hear(error_frame(refusal))
