"""The connections and clients that a process holds open, typed by protocol. `bootstrap` opens and closes
them."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from app.events.bus import Bus
from app.queue import Bell
from app.runtime.workspace import Runtime
from app.store.database import each_by_itself, glance, look, read
from app.store.statements import Connection, Statements
from app.unit import Unit, open_unit


@dataclass(frozen=True)
class Resources:
    """There is always a `runtime`. Where no box can be made, it says so when it is used."""

    engine: AsyncEngine
    statements: Statements
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

    def statement(self) -> AbstractAsyncContextManager[Connection]:
        """A connection for changes of one statement without events. Each statement commits by itself."""
        return self.statements.connection()

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Read-only, one snapshot, for rows as columns."""
        return read(self.engine)

    def look(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Read-only, one snapshot, for rows as instances."""
        return look(self.engine)

    def glance(self) -> AbstractAsyncContextManager[AsyncSession]:
        """Like `look`, for a single statement: a third of the cost, because no transaction is opened."""
        return glance(self._each)
