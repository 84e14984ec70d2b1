"""How a command is stopped by SIGINT, SIGTERM or SIGHUP. Only the first signal counts."""

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
    """A signal has asked us to stop. Raised so that everything is closed in order."""


@contextmanager
def stops_on_signal() -> Iterator[None]:
    """Inside the block the first signal raises `Stopped` in the main thread, and this catches it. Further
    signals are ignored, because stopping takes a limited time. Run asynchronous code in
    `run_until_stopped`."""
    try:
        with _first_signal(_raise):
            yield
    except Stopped:
        pass


def run_until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """Like `asyncio.run`, but the first signal cancels `work`, and `Stopped` is raised here. If the signal
    raised inside the event loop, the exception could end up in some callback and be lost."""

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
