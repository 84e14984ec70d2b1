"""The doorbell of the workers: "run R may be claimed". A lost ring costs one sweep, nothing else."""

import asyncio
from typing import Any, Protocol
from uuid import UUID

import orjson
import structlog
from arq.connections import ArqRedis
from redis.exceptions import RedisError

QUEUE = "boardroom:runs"
BELL = "boardroom:bell"
"""The pub/sub channel that wakes every worker's ARQ loop at once."""

HAND_OVER = "hand_over"
"""The ARQ task: it takes a run's id, hands it to the worker's own runner and returns."""

RING_TIMEOUT_S = 0.2

log = structlog.get_logger()


def to_json(value: Any) -> bytes:
    """ARQ's wire format: JSON instead of its pickle, so that nothing from Redis is ever executed."""
    return orjson.dumps(value)


def from_json(data: bytes) -> Any:
    return orjson.loads(data)


class Bell(Protocol):
    """Implementations never raise and never take longer than 200 ms."""

    async def ring(self, run_id: UUID) -> None: ...

    async def close(self) -> None: ...


class ArqBell:
    """Rings through ARQ: one job without an id and without a result, then a nudge to every worker."""

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
