"""Hints over Redis or Valkey, with one pub/sub channel per job.

A message is the event's number and, if it is short enough, a space and the event's JSON. An empty message
means "look at the log now". A message that begins with a tilde is neither stored nor numbered. Messages may
be lost: the hub finds every event in the log.
"""

import asyncio
import math
import random
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisError

from app.domain.events import HINT_BYTES
from app.events.bus import Numbered
from app.events.hub import Listener

TELL_TIMEOUT_S = 2.0
"""Seconds after which a batch of hints is given up. Nobody waits for it."""

BATCH, MOST_WAITING = 500, 10_000
"""How many hints are sent together, and how many may wait. Many wait only if Redis does not answer."""

QUIET_S = 10.0
"""At least so many seconds are between two log lines about lost hints."""

ACK_TIMEOUT_S = 1.0
"""Seconds that a socket waits for its SUBSCRIBE. Without the acknowledgement it depends on the sweep."""

CONNECT_TIMEOUT_S = 3.0
IDLE_S = 10.0
"""A silent connection is pinged after so many seconds, and closed after as many again."""

BACKOFF_S = (0.1, 2.0)
"""The first and the longest pause, in seconds, before connecting again."""

BURST = 100
"""How many messages are handled before other tasks get a turn."""

CHANNEL = "boardroom:job:"
WHISPER = "~"
"""Begins a message that is neither stored nor numbered."""

log = structlog.get_logger()


def _message(event: Numbered) -> str:
    if len(event.payload) <= HINT_BYTES and len(event.payload.encode()) <= HINT_BYTES:
        return f"{event.seq} {event.payload}"
    return str(event.seq)


def _job_of(channel: bytes) -> UUID:
    return UUID(channel.decode().removeprefix(CHANNEL))


def open_redis(url: str) -> Redis:
    """A client for `url`; nothing is connected before it is used."""
    redis: Redis = Redis.from_url(url, socket_connect_timeout=1)
    return redis


class RedisBus:
    """`app.events.bus.Bus` on one connection. Hints that come while a batch is being sent form the next
    batch, so that many jobs need few round trips."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[tuple[str, str]] = []
        self._sender: asyncio.Task[None] | None = None
        self._lost = 0
        self._said = -math.inf

    async def tell(self, job_id: UUID, events: Sequence[Numbered]) -> None:
        self._send(job_id, [_message(event) for event in events] or [""])

    async def whisper(self, job_id: UUID, payload: str) -> None:
        self._send(job_id, [WHISPER + payload])

    def _send(self, job_id: UUID, messages: Sequence[str]) -> None:
        if len(self._waiting) + len(messages) > MOST_WAITING:
            self._note_lost(len(messages), "too many")
            return
        channel = f"{CHANNEL}{job_id}"
        self._waiting.extend((channel, message) for message in messages)
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_waiting())

    async def _send_waiting(self) -> None:
        while self._waiting:
            sent, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                async with asyncio.timeout(TELL_TIMEOUT_S), self._redis.pipeline(transaction=False) as pipe:
                    for channel, message in sent:
                        pipe.publish(channel, message)
                    await pipe.execute()
            except (RedisError, OSError) as error:
                self._note_lost(len(sent), type(error).__name__)

    def _note_lost(self, messages: int, error: str) -> None:
        """Log how many hints were lost, but not for each: a lost hint delays an event until the next
        sweep."""
        self._lost += messages
        if monotonic() - self._said > QUIET_S:
            log.warning("hints.lost", hints=self._lost, error=error)
            self._lost, self._said = 0, monotonic()

    async def drain(self) -> None:
        """Wait until all hints were sent or given up."""
        if self._sender is not None:
            await self._sender

    async def close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(TELL_TIMEOUT_S):
                await self.drain()
        await self._redis.aclose()


class RedisHints:
    """`app.events.hub.Hints` on one connection, which is made again whenever it is lost."""

    def __init__(self, url: str) -> None:
        self._pool: ConnectionPool = ConnectionPool.from_url(
            url, socket_connect_timeout=CONNECT_TIMEOUT_S, decode_responses=False
        )
        self._acks: dict[UUID, asyncio.Event] = {}
        """The subscribed jobs. An event is set while the present connection has acknowledged the
        SUBSCRIBE."""
        self._connection: AbstractConnection | None = None

    async def subscribe(self, job_id: UUID) -> None:
        """Get hints of this job. Returns when Redis has acknowledged it, or after ACK_TIMEOUT_S."""
        ack = self._acks.get(job_id)
        if ack is None:
            ack = self._acks[job_id] = asyncio.Event()
            await self._send("SUBSCRIBE", f"{CHANNEL}{job_id}")
        if self._connection is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(ACK_TIMEOUT_S):
                    await ack.wait()

    async def unsubscribe(self, job_id: UUID) -> None:
        if self._acks.pop(job_id, None) is not None:
            await self._send("UNSUBSCRIBE", f"{CHANNEL}{job_id}")

    async def run(self, listener: Listener) -> None:
        """Pass hints to `listener`, for ever. After each connect it is told to look at every job."""
        pause = BACKOFF_S[0]
        while True:
            connection: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
            try:
                await connection.connect()  # type: ignore[no-untyped-call]
                self._connection = connection
                pause = BACKOFF_S[0]
                if self._acks:
                    await self._send("SUBSCRIBE", *(f"{CHANNEL}{job_id}" for job_id in self._acks))
                await self._send("PING")
                await self._listen(connection, listener)
            except (RedisError, OSError) as error:
                log.warning("hints.lost", error=type(error).__name__)
            finally:
                self._connection = None
                for ack in self._acks.values():
                    ack.clear()
                await connection.disconnect(nowait=True)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - only spreads reconnects
            pause = min(2 * pause, BACKOFF_S[1])

    async def _send(self, *command: str) -> None:
        """Send a command; `_listen` reads its answer. After a failure `_listen` fails, too."""
        connection = self._connection
        # Otherwise the library would connect again here, unknown to `_listen`.
        if connection is None or not connection.is_connected:
            return
        with suppress(RedisError, OSError):
            async with asyncio.timeout(ACK_TIMEOUT_S):
                await connection.send_command(*command)

    async def _listen(self, connection: AbstractConnection, listener: Listener) -> None:
        pinged, count = False, 0
        while True:
            answer = await connection.read_response(timeout=IDLE_S)
            if answer is None:
                if pinged:
                    raise TimeoutError("Redis does not answer")
                await self._send("PING")
            pinged = answer is None
            try:
                self._take(answer, listener)
            except ValueError:
                log.warning("hint.unreadable")
                listener.look()
            count += 1
            if count % BURST == 0:
                await asyncio.sleep(0)

    def _take(self, answer: Any, listener: Listener) -> None:
        match answer:
            case [b"message", channel, b""]:
                listener.look()
            case [b"message", channel, body] if body.startswith(WHISPER.encode()):
                listener.overheard(_job_of(channel), body.decode().removeprefix(WHISPER))
            case [b"message", channel, body]:
                seq, _, payload = body.decode().partition(" ")
                listener.heard(_job_of(channel), int(seq), payload)
            case [b"subscribe", channel, _]:
                if (ack := self._acks.get(_job_of(channel))) is not None:
                    ack.set()
            case [b"pong", _] | b"PONG":
                # Answers come in order, so every SUBSCRIBE before this PING is active.
                listener.look()
