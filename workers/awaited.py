"""While a run waits for its model, its boxes have nothing to do: what can wait is done then."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

LONG_S = 0.2
"""A model that answers sooner leaves no time for anything."""


class Awaited:
    """Whether the run waits for its model."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._times = 0

    @contextmanager
    def asked(self) -> Iterator[None]:
        """The model is asked within the block."""
        self._times += 1
        self._asked.set()
        try:
            yield
        finally:
            self._asked.clear()

    async def long(self) -> None:
        """Wait until the run has waited for `LONG_S` for one answer, which has not come yet."""
        while True:
            await self._asked.wait()
            times = self._times
            await asyncio.sleep(LONG_S)
            if self._asked.is_set() and self._times == times:
                return
