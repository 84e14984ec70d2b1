"""One accepted socket: a reader, a writer with a bounded queue, and the reason why it ends."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import WebSocket, WebSocketDisconnect

from app import metrics
from app.actions.chat import say
from app.api.socket_codes import Close
from app.api.socket_frames import PONG, Ping, error_frame, read_frame, synced_frame
from app.domain.errors import Invalid, NotFound, Refusal, TooMany
from app.domain.events import WHISPERED
from app.events.bus import Numbered
from app.events.hub import Pump
from app.resources import Resources
from app.store.users import SignedIn

MAX_QUEUED = 1000
MAX_QUEUED_CHARS = 4 * 1024 * 1024
"""What may wait for a reader whose connection is full. More closes it: the log makes coming back cheap."""

MAX_QUEUED_WHISPERS = 100

MAX_MESSAGES, MESSAGES_WINDOW_S = 20, 10.0
"""What a client may send."""


class Conversation:
    """`app.events.hub.Seat` on a WebSocket."""

    def __init__(self, websocket: WebSocket, resources: Resources, visitor: SignedIn, job_id: UUID) -> None:
        self.visitor = visitor
        self._websocket = websocket
        self._resources = resources
        self._job_id = job_id
        self._replays = False
        self._wants = tuple(
            f'{{"kind":"{kind}"'
            for kind, asked in WHISPERED.items()
            if websocket.query_params.get(asked) == "1"
        )
        self._left = False
        self._queue: deque[str] = deque()
        self._queued_chars = 0
        self._wake = asyncio.Event()
        self._ending: asyncio.Future[Close] = asyncio.get_running_loop().create_future()
        self._arrivals: deque[float] = deque(maxlen=MAX_MESSAGES)

    async def run(self, pump: Pump, head: int) -> Close:
        """Serve until we have a reason to end it. WebSocketDisconnect when the client leaves; Unavailable
        when the past cannot be read. `head` is the log's last number, read before the socket was accepted."""
        start = self._start(self._websocket.query_params.get("since"), head)
        writer = asyncio.create_task(self._write(pump, start, head))
        try:
            return await self._listen(writer)
        finally:
            pump.leave(self)
            writer.cancel()
            await asyncio.wait([writer])

    def end(self, code: Close) -> None:
        """Close the socket for this reason, unless another came first. What was heard before is written
        before, unless the reader is too slow for it. Does not block."""
        if not self._ending.done():
            self._ending.set_result(code)

    async def replay(self, events: Sequence[Numbered]) -> None:
        for event in events:
            await self._send(event.payload)
        await self._drain()

    def joined(self, seq: int) -> None:
        if self._replays:
            self.hear(synced_frame(str(self._job_id), seq))

    def hear(self, payload: str) -> None:
        self._queued_chars += len(payload)
        self._queue.append(payload)
        self._wake.set()
        if len(self._queue) > MAX_QUEUED or (len(self._queue) > 1 and self._queued_chars > MAX_QUEUED_CHARS):
            self.end(Close.TOO_SLOW)

    def overhear(self, payload: str) -> None:
        """A piece of a reply or of output that is still being made: nothing to a reader who is behind."""
        if payload.startswith(self._wants) and len(self._queue) < MAX_QUEUED_WHISPERS:
            self.hear(payload)

    def gone(self) -> None:
        self.end(Close.GONE)

    def broken(self) -> None:
        self.end(Close.OUR_FAULT)

    def _start(self, since: str | None, head: int) -> int:
        """After which number this socket begins; what is wrong with its `since` is the first it hears."""
        if since is None:
            return head
        if not (since.isascii() and since.isdigit()):
            self.hear(error_frame(Invalid("since must be the number of an event.", code="bad_since")))
            return head
        # Longer ones are ahead of any log, and of what PostgreSQL or int() take.
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
            # Taken out only when it was written: a cancelled send wrote nothing and leaves no gap.
            self._queued_chars -= len(self._queue.popleft())

    async def _send(self, text: str) -> None:
        """Nothing to somebody who has left; what they said before is still read, and then that they left."""
        if self._left:
            return
        try:
            await self._websocket.send({"type": "websocket.send", "text": text})
        except WebSocketDisconnect:
            self._left = True
        else:
            metrics.events_delivered.inc()

    async def _listen(self, writer: asyncio.Task[None]) -> Close:
        """Take what the client says. A message is never dropped half-way, whatever ends the socket."""
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
        self._arrivals.append(now)
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
