"""P15: how long until a box can be used, against what the engine alone takes to create and start such a
container.

    python -m bench.boxes [ROUNDS]     (DOCKER_HOST; needs the image: make workspace-image)
"""

import asyncio
import sys
from uuid import UUID, uuid4

from app.runtime.docker.engine import Engine
from app.runtime.docker.hardening import Recipe, container_config
from app.runtime.docker.runtime import DockerRuntime
from bench.measure import HOST, IMAGE, Cost, Side, compare, cost, show_ratios

RECIPE = Recipe(IMAGE)
MADE_S = 0.5
"""What a box of the pool has had to come up, at least."""


async def bare(engine: Engine) -> Cost:
    """The same container, with the same limits and volumes, that does nothing."""
    name = f"bench-{uuid4().hex}"
    config = {**container_config(RECIPE, name, {}), "Cmd": ["sleep", "60"]}

    async def make() -> None:
        await engine.create(name, config)
        await engine.start(name)

    took = await cost(make)
    await engine.remove(name)
    for part in ("app", "scratch"):
        await engine.remove_volume(f"{name}-{part}")
    return took


async def answer(runtime: DockerRuntime, job: UUID, create: bool = False) -> Cost:
    async def ask() -> None:
        workspace = await runtime.attach(job, create=create)
        await workspace.list("/app", 10)

    return await cost(ask)


async def cold(runtime: DockerRuntime) -> Cost:
    job = uuid4()
    try:
        return await answer(runtime, job, create=True)
    finally:
        await runtime.destroy(job)


async def frozen(runtime: DockerRuntime) -> Cost:
    job = uuid4()
    try:
        await answer(runtime, job, create=True)
        await runtime.rest()
        assert (await runtime.status(job)).state == "asleep"
        return await answer(runtime, job)
    finally:
        await runtime.destroy(job)


async def pooled(runtime: DockerRuntime) -> Cost:
    await runtime.rest()  # which makes a box in advance
    await asyncio.sleep(MADE_S)
    return await cold(runtime)


async def main(rounds: int) -> None:
    instance = f"bench-{uuid4().hex[:8]}"

    async def name() -> str:
        return instance

    engine = Engine(HOST)
    plain = DockerRuntime(HOST, name, RECIPE, rest_s=0)
    pool = DockerRuntime(HOST, name, RECIPE, spare_boxes=1)
    rows = await compare(
        lambda: bare(engine),
        Side("cold: made, started, answering", lambda: cold(plain), 1.35),
        Side("from sleep (frozen)", lambda: frozen(plain), 0.15),
        Side("from the pool", lambda: pooled(pool), 0.15),
        rounds=rounds,
    )
    show_ratios("P15: a box after a click", "create + start", rows)
    await pool.stop_all()
    for runtime in (plain, pool):
        await runtime.close()
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
