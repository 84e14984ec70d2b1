"""The connections and clients that a process holds open, typed by protocol. `bootstrap` opens and closes
them."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from app.events.bus import Bus
from app.queue import Bell
from app.runtime.runtime import Runtime
from app.store.database import each_by_itself, glance, look
from app.store.statements import StatementPool, Statements
from app.unit import Unit, open_unit


@dataclass(frozen=True)
class Resources:
    """There is always a `runtime`. Where no box can be made, it says so when it is used."""

    engine: AsyncEngine
    pool: StatementPool
    bus: Bus
    bell: Bell
    runtime: Runtime

    @cached_property
    def _each(self) -> AsyncEngine:
        return each_by_itself(self.engine)

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        """One change of a job (see `app.unit`). It commits at the end of the block, then informs sockets and
        workers."""
        return open_unit(self.engine, self.bus, self.bell)

    def look(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Rows, read-only and of one snapshot."""
        return look(self.engine)

    def glance(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Like `look`, for a single statement: a third of the cost, because no transaction is opened."""
        return glance(self._each)

    def statements(self) -> AbstractAsyncContextManager[Statements]:
        """Statements that commit by themselves, without events: for what happens most often."""
        return self.pool.open()
