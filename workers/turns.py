"""Runs of a worker take turns in using its one thread. A run that waits for a model or a box gives its turn
away.

Without turns, runs whose models answer at the same time would all be served a little at a time, would all be
late, and would ask again at the same time, while their models are idle. Served one after the other, each is
quick.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AT_ONCE = 3
"""How many runs have a turn at the same time: while one waits for PostgreSQL, another can compute."""


def new_turns() -> asyncio.Semaphore:
    """The turns that all runs of a worker share."""
    return asyncio.Semaphore(AT_ONCE)


class Turn:
    """The turn of one run. Correctness does not depend on it, only speed does."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns = turns
        self._has_it = False

    async def take(self) -> None:
        """Wait for a turn, unless the run has one."""
        if not self._has_it:
            await self._turns.acquire()
            self._has_it = True

    def leave(self) -> None:
        """Give the turn to the next run."""
        if self._has_it:
            self._has_it = False
            self._turns.release()

    @asynccontextmanager
    async def left(self) -> AsyncIterator[None]:
        """Give the turn away inside the block, and take one again after it. After an error the run has no
        turn."""
        had_it = self._has_it
        self.leave()
        yield
        if had_it:
            await self.take()
