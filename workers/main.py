"""A worker process: the desk, the doorbell and a sign of life, until it is told to stop."""

import asyncio
import os
import signal
import socket
import sys

import orjson
import structlog
import uvloop
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from app.bootstrap import NotConfigured, open_resources
from app.embedded.lifeline import watch_parent
from app.logs import configure_logs
from app.queue import WORKER_ALIVE_S, open_arq, worker_key
from app.settings import BadSettings, Settings, load_settings
from workers.choose import UnknownModel, choose
from workers.doorbell import answer_the_door
from workers.leases import Desk, Terms
from workers.llm.model import Model

log = structlog.get_logger()


async def work(settings: Settings, model: Model, name: str) -> None:
    """Work until cancelled, then let go of what is under way."""
    terms = Terms(settings.worker_slots, settings.lease_s, settings.sweep_s)
    async with open_resources(settings) as resources, open_arq(settings.redis_url) as redis:
        desk = Desk(resources, model, name, terms)
        log.info("worker.ready", worker=name, model=model.name, slots=terms.slots)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(desk.work())
                group.create_task(answer_the_door(redis, desk))
                group.create_task(_show_life(redis, name, model))
        finally:
            await desk.close()


async def _show_life(redis: ArqRedis, name: str, model: Model) -> None:
    """Tell `/readyz` that we are there, as long as we are."""
    said = orjson.dumps({"model": model.name})
    while True:
        try:
            await redis.set(worker_key(name), said, ex=WORKER_ALIVE_S)
        except (RedisError, OSError):
            log.info("life.not_shown")
        await asyncio.sleep(WORKER_ALIVE_S / 3)


async def _until_told(settings: Settings, model: Model) -> None:
    loop = asyncio.get_running_loop()
    name = f"{socket.gethostname()}-{os.getpid()}"
    task = asyncio.ensure_future(work(settings, model, name))
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.info("worker.stopped", worker=name)


def main() -> int:
    """`python -m workers.main`. Exit code 2: the settings do not allow a start."""
    watch_parent()
    try:
        settings = load_settings()
        configure_logs(production=settings.production)
        model = choose(settings.model, settings.rehearsal_pace)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_told(settings, model))
    except (NotConfigured, UnknownModel, BadSettings) as error:
        sys.stderr.write(f"The worker cannot start: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
