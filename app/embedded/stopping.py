"""How a command is stopped by SIGINT, SIGTERM or SIGHUP. Only the first signal counts."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal has asked us to stop. Raised so that everything is closed in order."""


@contextmanager
def stops_on_signal() -> Iterator[None]:
    """Inside the block the first signal raises `Stopped` in the main thread, and this catches it. Further
    signals are ignored, because stopping takes a limited time. Run asynchronous code in
    `running.run_until_stopped`."""
    try:
        with on_first_signal(_raise):
            yield
    except Stopped:
        pass


@contextmanager
def on_first_signal(stop: Callable[[], object]) -> Iterator[None]:
    """Inside the block the first signal calls `stop`, and further ones do nothing."""

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
