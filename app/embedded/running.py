"""How asynchronous code of a command is stopped by a signal."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from app.embedded.stopping import Stopped, on_first_signal

T = TypeVar("T")


def run_until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, but the first signal cancels `work`, and `Stopped` is raised here. If the signal
    raised inside the event loop, the exception could end up in some callback and be lost."""

    async def cancellable() -> T:
        task = asyncio.current_task()
        assert task
        loop = asyncio.get_running_loop()
        with on_first_signal(partial(loop.call_soon_threadsafe, task.cancel)):
            return await work

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise Stopped from None
