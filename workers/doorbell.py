"""Learns over ARQ that a run can be claimed. An ARQ task only offers the run to the desk and returns."""

import asyncio
from contextlib import suppress
from typing import Any, cast
from uuid import UUID

import structlog
from arq.connections import ArqRedis
from arq.typing import WorkerCoroutine
from arq.worker import Worker, func
from redis.exceptions import RedisError

from app.queue import BELL, HAND_OVER, QUEUE, from_json, to_json
from workers.leases import Desk

log = structlog.get_logger()

POLL_S = 0.5
"""Seconds between two polls of ARQ, in case a pub/sub message was lost."""

LISTEN_S = 30.0
"""How long one wait for the bell takes. It has no result when nothing was rung; that is no error."""

RETRY_S = 1.0


class RungWorker(Worker):
    """ARQ's worker, woken by a pub/sub message. By polling alone it would notice a task after 300 ms on
    average."""

    async def main(self) -> None:
        rung = asyncio.Event()
        listener = asyncio.create_task(self._listen(rung))
        try:
            while not listener.done():
                rung.clear()
                await self._poll_iteration()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.poll_delay_s):
                        await rung.wait()
            listener.result()
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def _listen(self, rung: asyncio.Event) -> None:
        async with self.pool.pubsub() as bell:
            await bell.subscribe(BELL)
            while True:
                if await bell.get_message(ignore_subscribe_messages=True, timeout=LISTEN_S):
                    rung.set()


async def answer_the_door(redis: ArqRedis, desk: Desk) -> None:
    """Offer runs to the desk, for ever. While Redis is down it waits; the desk's own sweep finds the runs."""

    async def hand_over(ctx: dict[Any, Any], run_id: str) -> None:
        await desk.offer(UUID(run_id))

    while True:
        worker = RungWorker(
            [func(cast(WorkerCoroutine, hand_over), name=HAND_OVER, keep_result=0, max_tries=1, timeout=10)],
            redis_pool=redis,
            queue_name=QUEUE,
            handle_signals=False,
            poll_delay=POLL_S,
            max_jobs=100,
            job_serializer=to_json,
            job_deserializer=from_json,
            log_results=False,
        )
        try:
            await worker.main()
        except (RedisError, OSError) as error:
            log.warning("doorbell.away", error=type(error).__name__)
        await asyncio.sleep(RETRY_S)
