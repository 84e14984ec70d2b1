"""How a command of ours is told to stop: by SIGINT, SIGTERM or SIGHUP, once."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """We were asked to stop; everything unwinds in order."""


@contextmanager
def stops_on_signal() -> Iterator[None]:
    """The first signal raises `Stopped` in the main thread; further ones change nothing, since stopping is
    bounded. `Stopped` ends here. What is asynchronous runs in `run_until_stopped`."""
    try:
        with _first_signal(_raise):
            yield
    except Stopped:
        pass


def run_until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, but the first signal cancels `work`, and `Stopped` comes out of here. Raised wherever
    the loop happens to be, an exception may end a callback or a task nobody waits for, and be forgotten."""

    async def cancellable() -> T:
        task = asyncio.current_task()
        assert task
        loop = asyncio.get_running_loop()
        with _first_signal(partial(loop.call_soon_threadsafe, task.cancel)):
            return await work

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise Stopped from None


@contextmanager
def _first_signal(stop: Callable[[], object]) -> Iterator[None]:
    def heard(number: int, frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        stop()

    before = {each: signal.signal(each, heard) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _raise() -> NoReturn:
    raise Stopped
