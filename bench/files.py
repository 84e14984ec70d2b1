"""P14: files of a running box through the guest, against one `exec` in the same container per call.

python -m bench.files [ROUNDS]     (DOCKER_HOST; needs the image: make workspace-image)
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from uuid import uuid4

from app.runtime.docker.engine import Engine
from app.runtime.docker.hardening import Recipe
from app.runtime.docker.runtime import DockerRuntime
from bench.measure import HOST, IMAGE, Act, Row, Side, compare, cost, show_ratios

Call = Callable[[], Awaitable[object]]

SIZE = 64 * 1024
CALLS, EXECS = 20, 3
"""Of each side in a turn."""
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


def in_a_row(act: Call, times: int) -> Act:
    """A turn: a single call would be measured while the engine still clears up after a `docker exec`."""

    async def acts() -> None:
        for _ in range(times):
            await act()

    return partial(cost, acts, times)


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
    python = ["python3", "-I", "-S", "-c"]
    kinds: list[tuple[str, Call, list[str], bytes, float]] = [
        ("read 64 KiB", lambda: workspace.read("file"), ["cat", "/app/file"], b"", 1 / 20),
        ("save 64 KiB", lambda: workspace.save("file", content), ["sh", "-c", SAVE], content, 1 / 20),
        *(
            (
                f"list {count} entries",
                partial(workspace.list, f"/app/d{count}", 1000),
                [*python, LIST.format(f"/app/d{count}")],
                b"",
                must,
            )
            for count, must in ((200, 1 / 10), (1000, 1 / 3))
        ),
    ]
    rows: list[Row] = []
    try:
        for what, call, command, sent, must in kinds:
            bare = in_a_row(partial(executed, engine, box, command, sent), EXECS)
            rows += await compare(bare, Side(what, in_a_row(call, CALLS), must), rounds=rounds)
    finally:
        await workspace.close()
        await runtime.destroy(job)
        await runtime.close()
        await engine.close()
    show_ratios("P14: files of a running box", "`docker exec`", rows)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
