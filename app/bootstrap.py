"""Chooses the concrete implementations (database, Redis, boxes) and opens them, for API processes and
workers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from app.domain.errors import Unavailable
from app.events.hub import Hub
from app.events.redis import RedisBus, RedisHints, open_redis
from app.queue import ArqBell, count_workers, open_arq
from app.resources import Resources
from app.runtime.docker.find import USUAL_ENGINE, find_engine
from app.runtime.local.runtime import LocalRuntime
from app.runtime.runtime import Diagnosis, Runtime
from app.settings import Settings
from app.store import boxes
from app.store.database import open_engine, require_room
from app.store.events import StoredLog
from app.store.statements import StatementPool, open_statements

if TYPE_CHECKING:
    from app.runtime.docker.runtime import DockerRuntime

Probe = Callable[[], Awaitable[str]]
"""Returns in a few words how a part is. Raises Unavailable when the part does not work."""

ENDS_AFTER = 2
"""A worker freezes a container that was idle for WORKSPACE_IDLE_S. If no worker does, the container ends by
itself after this many times WORKSPACE_IDLE_S."""


class NotConfigured(Exception):
    """A setting is missing, or names something that is not there. The message says what to do."""


def require_configured(settings: Settings) -> None:
    """Raises NotConfigured when the addresses of the databases are missing."""
    if not settings.database_url or not settings.redis_url:
        raise NotConfigured("DATABASE_URL and REDIS_URL are not set. `boardroom up` starts all it needs.")


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """What a process holds open. It connects on first use, so the parts may be down. Raises NotConfigured."""
    require_configured(settings)
    async with AsyncExitStack() as later:
        engine = open_engine(settings.database_url)
        later.push_async_callback(engine.dispose)
        pool = await later.enter_async_context(open_statements(settings.database_url))
        bus = RedisBus(open_redis(settings.redis_url))
        later.push_async_callback(bus.close)
        bell = ArqBell(open_arq(settings.redis_url))
        later.push_async_callback(bell.close)
        runtime = await open_runtime(settings, pool)
        later.push_async_callback(runtime.close)
        yield Resources(engine, pool, bus, bell, runtime)


async def open_runtime(settings: Settings, pool: StatementPool | None = None) -> Runtime:
    """The runtime for boxes that WORKSPACE_RUNTIME asks for. `auto`: a container engine if one answers and
    has the image, else local boxes. Where no box can be made, the runtime says so when it is used."""
    wanted = settings.workspace_runtime
    if wanted == "local" or (wanted == "auto" and not find_engine(settings.docker_host)):
        return _local(settings)
    docker = _docker(settings, pool)
    if wanted == "docker" or await docker.has_image():
        return docker
    await docker.close()
    return _local(settings)


async def examine_boxes(settings: Settings) -> Diagnosis:
    """Whether boxes can be made here. If there is a container engine that is not used, the result says
    why."""
    runtime = await open_runtime(settings)
    try:
        diagnosis = await runtime.examine()
    finally:
        await runtime.close()
    diagnosis = replace(diagnosis, detail=f"{diagnosis.detail}; {_network(settings, runtime)}")
    if (
        diagnosis.kind == "docker"
        or settings.workspace_runtime == "local"
        or not find_engine(settings.docker_host)
    ):
        return diagnosis
    docker = _docker(settings, None)
    unused = await docker.examine()
    await docker.close()
    hint = f"Not in containers: {unused.detail} {unused.remedy}"
    return replace(diagnosis, remedy=f"{diagnosis.remedy}\n{hint}".strip())


def _network(settings: Settings, runtime: Runtime) -> str:
    wanted, there = settings.workspace_network, runtime.network
    ignored = "" if wanted == there else f" (WORKSPACE_NETWORK={wanted} is for containers)"
    told = {"none": "no network", "install": "a network for install steps", "open": "a network"}
    return f"{told[there]}{ignored}"


def _local(settings: Settings) -> LocalRuntime:
    return LocalRuntime(
        settings.workspaces_dir, idle_s=settings.workspace_idle_s, max_boxes=settings.workspaces_max
    )


def _docker(settings: Settings, pool: StatementPool | None) -> "DockerRuntime":
    """`pool` is of the database, which has the name under which our containers are labelled. Without it a
    connection is opened when the name is needed."""
    # Imported here, because with its HTTP client it is an eighth of all that a process loads.
    docker = import_module("app.runtime.docker.runtime")
    hardening = import_module("app.runtime.docker.hardening")

    async def instance() -> str:
        async with nullcontext(pool) if pool else _database(settings) as own, own.open() as statements:
            return await boxes.instance_name(statements)

    recipe = hardening.Recipe(
        settings.workspace_image,
        hardening.ContainerLimits(idle_s=ENDS_AFTER * settings.workspace_idle_s),
        settings.workspace_oci_runtime,
        settings.workspace_network,
    )
    host = find_engine(settings.docker_host) or USUAL_ENGINE
    opened: DockerRuntime = docker.DockerRuntime(
        host,
        instance,
        recipe,
        max_boxes=settings.workspaces_max,
        rest_s=settings.workspace_idle_s,
        spare_boxes=settings.workspace_pool,
    )
    return opened


def _database(settings: Settings) -> AbstractAsyncContextManager[StatementPool]:
    if not settings.database_url:
        raise NotConfigured(
            "The database says which containers are ours: start `boardroom up`, or set DATABASE_URL."
        )
    return open_statements(settings.database_url)


def make_hub(settings: Settings, resources: Resources) -> Hub:
    """The hub of a web process. It does nothing until its `run` is started."""
    return Hub(StoredLog(resources.pool), RedisHints(settings.redis_url), settings.sweep_s)


@asynccontextmanager
async def open_probes(settings: Settings, resources: Resources) -> AsyncIterator[Mapping[str, Probe]]:
    """A probe for each part that the service needs."""
    redis = open_arq(settings.redis_url)

    async def database() -> str:
        await require_room(resources.engine)
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
