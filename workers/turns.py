"""Runs take turns with what they do themselves; what they wait for, they wait for without one.

A worker thinks in one thread. Were all its runs served a little at a time, those whose models answer together
would all be late and ask again together, while their models idle. One after the other, each is quick.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AT_ONCE = 3
"""While one waits for PostgreSQL another computes; more would only be served a little at a time again."""


def new_turns() -> asyncio.Semaphore:
    """What a worker's runs share."""
    return asyncio.Semaphore(AT_ONCE)


class Turn:
    """One run's place in the line. Without a turn it is served all the same: nothing but time rests on it."""

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns = turns
        self._has_it = False

    async def take(self) -> None:
        """Wait for a turn, unless the run has it."""
        if not self._has_it:
            await self._turns.acquire()
            self._has_it = True

    def leave(self) -> None:
        """Let the next one have it."""
        if self._has_it:
            self._has_it = False
            self._turns.release()

    @asynccontextmanager
    async def left(self) -> AsyncIterator[None]:
        """Within, the run waits for a model or a box. After an error it has no turn."""
        had_it = self._has_it
        self.leave()
        yield
        if had_it:
            await self.take()
