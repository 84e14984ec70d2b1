"""A worker process: it plays runs (the desk), listens for new ones (the doorbell), and shows that it is
alive."""

import asyncio
import os
import signal
import socket
import sys
from dataclasses import replace

import orjson
import structlog
import uvloop
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from app.bootstrap import NotConfigured, open_resources, require_configured
from app.domain.conversation import Agent
from app.domain.vendors import VENDORS
from app.embedded.late import await_environment
from app.embedded.lifeline import watch_parent
from app.logs import configure_logs
from app.queue import WORKER_ALIVE_S, open_arq, worker_key
from app.settings import BadSettings, Settings, load_settings
from app.store.usable import UnusableDatabase, require_usable_if_there
from workers.choose import Names, Servers, UnknownModel, choose
from workers.doorbell import answer_the_door
from workers.leases import Desk, Terms
from workers.llm.endpoint import Endpoint, TimeLimits
from workers.llm.lineup import Lineup, Patience
from workers.llm.vendors import Server

log = structlog.get_logger()


async def work(settings: Settings, models: Lineup, name: str) -> None:
    """Work until cancelled, then release the runs that are being played."""
    terms = Terms(
        settings.worker_slots,
        settings.lease_s,
        settings.sweep_s,
        settings.limits,
        settings.ticket_max_attempts,
        settings.data_copy_bytes,
    )
    async with open_resources(settings) as resources, open_arq(settings.redis_url) as redis:
        desk = Desk(resources, models, name, terms)
        log.info("worker.ready", worker=name, model=models.name, slots=terms.slots)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(desk.work())
                group.create_task(answer_the_door(redis, desk))
                group.create_task(_show_life(redis, name, models.name))
        finally:
            await desk.close()


async def _show_life(redis: ArqRedis, name: str, model: str) -> None:
    """Keep this worker's key in Redis alive, which `/readyz` counts."""
    said = orjson.dumps({"model": model})
    while True:
        try:
            await redis.set(worker_key(name), said, ex=WORKER_ALIVE_S)
        except (RedisError, OSError):
            log.info("life.not_shown")
        await asyncio.sleep(WORKER_ALIVE_S / 3)


async def _until_stopped(settings: Settings, models: Lineup) -> None:
    loop = asyncio.get_running_loop()
    name = f"{socket.gethostname()}-{os.getpid()}"
    task = asyncio.ensure_future(work(settings, models, name))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        log.info("worker.stopped", worker=name)


def choose_models(settings: Settings) -> Lineup:
    """The models that the settings name. Raises UnknownModel."""
    names = Names(
        first=settings.model,
        roles={agent: getattr(settings, f"model_{agent.name.lower()}") for agent in Agent},
        strong=settings.model_strong,
        fallback=settings.model_fallback,
        longest=settings.model_max_tokens,
    )
    times = TimeLimits(
        settings.model_connect_timeout,
        settings.model_first_token_timeout,
        settings.model_gap_timeout,
        settings.model_call_timeout,
    )
    servers = Servers(
        endpoint=Endpoint(
            times,
            settings.model_schema,
            settings.model_stream,
            settings.model_reasoning,
            settings.model_max_tokens,
        ),
        reached={kind: server_of(settings, kind) for kind in VENDORS},
        input_price=settings.model_input_price_usd,
        output_price=settings.model_output_price_usd,
    )
    limits = settings.limits
    usd_limited = limits.job_usd is not None or limits.day_usd is not None
    lineup = choose(names, servers, settings.rehearsal_pace, usd_limited=usd_limited)
    return replace(lineup, patience=Patience(wait_s=settings.model_patience_s))


def server_of(settings: Settings, kind: str) -> Server:
    """Where the models of a vendor are asked, as set."""
    vendor = VENDORS[kind]
    region = settings.aws_region if kind == "bedrock" else ""
    return Server(settings.of(vendor.address), settings.of(vendor.key), region)


def main() -> int:
    """`python -m workers.main`. Returns exit code 2 if the settings do not allow a start."""
    watch_parent()
    await_environment()
    try:
        settings = load_settings()
        configure_logs(production=settings.production)
        models = choose_models(settings)
        require_configured(settings)
        asyncio.run(require_usable_if_there(settings.database_url))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_stopped(settings, models))
    except UnknownModel as error:
        sys.stderr.write(f"The worker cannot start: {error} `boardroom model check` says what works.\n")
        return 2
    except (NotConfigured, BadSettings, UnusableDatabase) as error:
        sys.stderr.write(f"The worker cannot start: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
