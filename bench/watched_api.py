"""`python -m app.main` with a clock in its loop: on SIGUSR1 it prints how late that was since the last one.

python -m bench.watched_api     the p99 and the worst, in milliseconds, in a line of JSON
"""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app import main

TICK_S = 0.005

_serving = main._serving


@asynccontextmanager
async def _watched(app: FastAPI) -> AsyncIterator[None]:
    late: list[float] = []

    def tell() -> None:
        late.sort()
        print(json.dumps({"p99": late[int(len(late) * 0.99)], "worst": late[-1]}), flush=True)
        late.clear()

    async with _serving(app):
        watch = asyncio.create_task(_watch(late))
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
        yield
        watch.cancel()


async def _watch(late: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + TICK_S
        await asyncio.sleep(TICK_S)
        late.append((loop.time() - due) * 1000)


if __name__ == "__main__":
    main._serving = _watched
    main.main()
