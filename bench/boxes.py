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
from bench.measure import HOST, IMAGE, Row, table, timed

COLD, FROZEN, POOL = "cold: made, started, answering", "from sleep (frozen)", "from the pool"
MUST = {COLD: 1.2, FROZEN: 0.15, POOL: 0.15}
RECIPE = Recipe(IMAGE)
MADE_S = 0.5
"""What a box of the pool has had to come up, at least."""


async def bare(engine: Engine) -> float:
    """The same container, with the same limits and volumes, that does nothing."""
    name = f"bench-{uuid4().hex}"
    config = {**container_config(RECIPE, name, {}), "Cmd": ["sleep", "60"]}

    async def make() -> None:
        await engine.create(name, config)
        await engine.start(name)

    took = await timed(make)
    await engine.remove(name)
    for part in ("app", "scratch"):
        await engine.remove_volume(f"{name}-{part}")
    return took


async def ours(plain: DockerRuntime, pool: DockerRuntime) -> dict[str, float]:
    cold, pooled = uuid4(), uuid4()

    async def answer(runtime: DockerRuntime, job: UUID, create: bool = False) -> None:
        workspace = await runtime.attach(job, create=create)
        await workspace.list("/app", 10)

    try:
        took = {COLD: await timed(lambda: answer(plain, cold, create=True))}
        await plain.rest()
        assert (await plain.status(cold)).state == "asleep"
        took[FROZEN] = await timed(lambda: answer(plain, cold))
    finally:
        await plain.destroy(cold)
    await pool.rest()  # which makes a box in advance
    await asyncio.sleep(MADE_S)
    try:
        took[POOL] = await timed(lambda: answer(pool, pooled, create=True))
    finally:
        await pool.destroy(pooled)
    return took


async def main(rounds: int) -> None:
    instance = f"bench-{uuid4().hex[:8]}"

    async def name() -> str:
        return instance

    engine = Engine(HOST)
    plain = DockerRuntime(HOST, name, RECIPE, rest_s=0)
    pool = DockerRuntime(HOST, name, RECIPE, spare_boxes=1)
    alone, found = [], []
    for _ in range(rounds):
        alone.append(await bare(engine))
        found.append(await ours(plain, pool))
    rows = [Row(what, [each[what] for each in found], alone, must) for what, must in MUST.items()]
    print(table("P15: a box after a click", "create + start", rows))
    await pool.stop_all()
    for runtime in (plain, pool):
        await runtime.close()
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
