"""P14: files of a running box through the guest, against one `exec` in the same container per call.

python -m bench.files [ROUNDS]     (DOCKER_HOST; needs the image: make workspace-image)
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from uuid import uuid4

from app.runtime.docker.engine import Engine
from app.runtime.docker.hardening import Recipe
from app.runtime.docker.runtime import DockerRuntime
from bench.measure import HOST, IMAGE, Row, table, timed

SIZE = 64 * 1024
LIST = (
    "import os,json;"
    "print(json.dumps([[e.name,e.is_dir(),e.stat().st_size,e.stat().st_mtime] for e in os.scandir('{}')]))"
)
SAVE = f"head -c {SIZE} > /app/saving && mv /app/saving /app/saved"


async def executed(engine: Engine, name: str, command: list[str], sent: bytes = b"") -> None:
    """One `docker exec`, from its beginning to its end."""
    stream = await engine.run(name, command, "1000:1000")
    if sent:
        await stream.write_in(sent)
    while await stream.read_out() is not None:
        pass
    await stream.close()


async def measured(rounds: int, act: Callable[[], Awaitable[object]]) -> list[float]:
    await act()
    return [await timed(act) for _ in range(rounds)]


async def main(rounds: int) -> None:
    instance, job = f"bench-{uuid4().hex[:8]}", uuid4()

    async def name() -> str:
        return instance

    engine = Engine(HOST)
    runtime = DockerRuntime(HOST, name, Recipe(IMAGE))
    workspace = await runtime.attach(job, fence=1, create=True)
    box = f"boardroom-{instance}-{job}"
    content = b"x" * SIZE
    await workspace.save("file", content)
    for count in (200, 1000):
        made = await workspace.run(f"mkdir d{count}; cd d{count}; touch $(seq {count})", timeout_s=30)
        assert made.exit_code == 0, made
    few = max(5, rounds // 10)
    python = ["python3", "-I", "-S", "-c"]
    try:
        rows = [
            Row(
                "read 64 KiB",
                await measured(rounds, lambda: workspace.read("file")),
                await measured(few, lambda: executed(engine, box, ["cat", "/app/file"])),
                1 / 20,
            ),
            Row(
                "save 64 KiB",
                await measured(rounds, lambda: workspace.save("file", content)),
                await measured(few, lambda: executed(engine, box, ["sh", "-c", SAVE], content)),
                1 / 20,
            ),
            *[
                Row(
                    f"list {count} entries",
                    await measured(rounds, lambda c=count: workspace.list(f"/app/d{c}", 1000)),
                    await measured(
                        few, lambda c=count: executed(engine, box, [*python, LIST.format(f"/app/d{c}")])
                    ),
                    must,
                )
                for count, must in ((200, 1 / 10), (1000, 1 / 3))
            ],
        ]
    finally:
        await workspace.close()
        await runtime.destroy(job)
        await runtime.close()
        await engine.close()
    print(table("P14: files of a running box", "`docker exec`", rows))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
