"""How workers are told that a run can be claimed. A message that is lost costs one sweep of the workers (2
s)."""

import asyncio
from typing import Any, Protocol
from uuid import UUID

import orjson
import structlog
from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from app.domain.errors import Unavailable

QUEUE = "boardroom:runs"
BELL = "boardroom:bell"
"""The pub/sub channel that wakes the ARQ loop of every worker at once."""

HAND_OVER = "hand_over"
"""The ARQ task. It gets a run's id, offers it to the worker's desk and returns."""

RING_TIMEOUT_S = 0.2

ANSWER_TIMEOUT_S = 5.0
"""Seconds that Redis may take to answer. Without a limit a connection that was lost silently would block for
many minutes."""

WORKER_KEYS = "boardroom:worker:"
"""Prefix of the key that each worker keeps alive, followed by the worker's name."""

WORKER_ALIVE_S = 15
"""Seconds for which a worker counts as alive after it has last set its key."""


def worker_key(name: str) -> str:
    """The key that a worker keeps alive."""
    return f"{WORKER_KEYS}{name}"


log = structlog.get_logger()


def to_json(value: Any) -> bytes:
    """ARQ's wire format: JSON instead of its pickle, so that nothing from Redis is ever executed."""
    return orjson.dumps(value)


def from_json(data: bytes) -> Any:
    return orjson.loads(data)


def open_arq(url: str) -> ArqRedis:
    """A client for `url`; nothing is connected before it is used."""
    pool: ConnectionPool = ConnectionPool.from_url(
        url, socket_connect_timeout=1, socket_timeout=ANSWER_TIMEOUT_S
    )
    redis = ArqRedis(pool, job_serializer=to_json, job_deserializer=from_json)
    redis.auto_close_connection_pool = True  # closing the client also closes the pool
    return redis


async def count_workers(redis: ArqRedis) -> int:
    """How many workers are alive. Raises Unavailable when Redis does not answer."""
    try:
        return len([key async for key in redis.scan_iter(match=f"{WORKER_KEYS}*", count=1000)])
    except (RedisError, OSError):
        raise Unavailable("Redis does not answer.") from None


class Bell(Protocol):
    """Implementations never raise and never take longer than 200 ms."""

    async def ring(self, run_id: UUID) -> None: ...

    async def close(self) -> None: ...


class ArqBell:
    """Rings through ARQ: an ARQ job without id and result, then a pub/sub message that wakes every worker."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    async def ring(self, run_id: UUID) -> None:
        try:
            async with asyncio.timeout(RING_TIMEOUT_S):
                await self._redis.enqueue_job(HAND_OVER, str(run_id), _queue_name=QUEUE)
                await self._redis.publish(BELL, str(run_id))
        except (RedisError, OSError) as error:
            log.warning("bell.lost", run=str(run_id), error=type(error).__name__)

    async def close(self) -> None:
        await self._redis.aclose()
