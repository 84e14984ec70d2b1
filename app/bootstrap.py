"""The only place that picks concrete adapters and opens them, for the web process and the worker alike."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from app.domain.errors import Unavailable
from app.events.hub import Hub
from app.events.redis import RedisBus, RedisHints, open_redis
from app.queue import ArqBell, count_workers, open_arq
from app.resources import Resources
from app.runtime.local import LocalRuntime
from app.runtime.workspace import Runtime
from app.settings import Settings
from app.store.database import open_engine
from app.store.events import StoredLog

Probe = Callable[[], Awaitable[str]]
"""Says in a few words how a part is; Unavailable when it is not well."""


class NotConfigured(Exception):  # noqa: N818
    """A setting is missing or asks for what is not there; the message says what to do."""


def require_configured(settings: Settings) -> None:
    """NotConfigured when a process could not even be composed."""
    if not settings.database_url or not settings.redis_url:
        raise NotConfigured("DATABASE_URL and REDIS_URL are not set. `boardroom up` starts all it needs.")
    if settings.workspace_runtime == "docker":
        raise NotConfigured("WORKSPACE_RUNTIME=docker is not there yet. Use auto or local.")


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """What a process holds open. Nothing is connected yet: parts may be away. NotConfigured."""
    require_configured(settings)
    async with AsyncExitStack() as later:
        engine = open_engine(settings.database_url)
        later.push_async_callback(engine.dispose)
        bus = RedisBus(open_redis(settings.redis_url))
        later.push_async_callback(bus.close)
        bell = ArqBell(open_arq(settings.redis_url))
        later.push_async_callback(bell.close)
        runtime = open_runtime(settings)
        later.push_async_callback(runtime.close)
        yield Resources(engine, bus, bell, runtime)


def open_runtime(settings: Settings) -> Runtime:
    """How boxes are made here. A machine where none can be made has a runtime too: one that says so."""
    return LocalRuntime(
        settings.workspaces_dir, idle_s=settings.workspace_idle_s, max_boxes=settings.workspaces_max
    )


def make_hub(settings: Settings, resources: Resources) -> Hub:
    """The hub of a web process; it does nothing until it is run."""
    return Hub(StoredLog(resources.engine), RedisHints(settings.redis_url), settings.sweep_s)


@asynccontextmanager
async def open_probes(settings: Settings, resources: Resources) -> AsyncIterator[Mapping[str, Probe]]:
    """How to ask each part behind the service how it is."""
    redis = open_arq(settings.redis_url)

    async def database() -> str:
        async with resources.read():
            return "answers"

    async def bell() -> str:
        await count_workers(redis)
        return "answers"

    async def worker() -> str:
        if not (count := await count_workers(redis)):
            raise Unavailable("No worker is alive.")
        return f"{count} alive"

    async def box() -> str:
        found = await resources.runtime.examine()
        if not found.ok:
            raise Unavailable(f"{found.detail} {found.remedy}".strip())
        return found.detail

    try:
        yield {"database": database, "redis": bell, "worker": worker, "box": box}
    finally:
        await redis.aclose()
