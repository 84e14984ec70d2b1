"""P15: how long until a box can be used, against what the engine alone takes to create and start such a
container.

    python -m bench.boxes [ROUNDS]     (DOCKER_HOST; needs the image: make workspace-image)
"""

import asyncio
import sys
from uuid import uuid4

from app.runtime.docker.engine import Engine
from app.runtime.docker.hardening import Recipe, container_config
from app.runtime.docker.runtime import DockerRuntime
from bench.measure import HOST, IMAGE, Row, table, timed

COLD, FROZEN = "cold: made, started, answering", "from sleep (frozen)"
MUST = {COLD: 1.2, FROZEN: 0.15}
RECIPE = Recipe(IMAGE)


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


async def ours(runtime: DockerRuntime) -> dict[str, float]:
    job = uuid4()

    async def answer(create: bool = False) -> None:
        workspace = await runtime.attach(job, create=create)
        await workspace.list("/app", 10)

    try:
        took = {COLD: await timed(lambda: answer(create=True))}
        await runtime.rest()
        assert (await runtime.status(job)).state == "asleep"
        took[FROZEN] = await timed(answer)
    finally:
        await runtime.destroy(job)
    return took


async def main(rounds: int) -> None:
    instance = f"bench-{uuid4().hex[:8]}"

    async def name() -> str:
        return instance

    engine = Engine(HOST)
    runtime = DockerRuntime(HOST, name, RECIPE, rest_s=0)
    alone, found = [], []
    for _ in range(rounds):
        alone.append(await bare(engine))
        found.append(await ours(runtime))
    rows = [Row(what, [each[what] for each in found], alone, must) for what, must in MUST.items()]
    print(table("P15: a box after a click", "create + start", rows))
    await runtime.close()
    await engine.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
