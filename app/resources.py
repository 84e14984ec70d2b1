"""What a process holds open, typed by protocol. Made in `bootstrap`, closed there too."""

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
    """`runtime` may be one that refuses to make boxes; it is never absent."""

    engine: AsyncEngine
    statements: Statements
    bus: Bus
    bell: Bell
    runtime: Runtime

    @cached_property
    def _each(self) -> AsyncEngine:
        return each_by_itself(self.engine)

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        """One change. Write inside; it commits at the end of the block, then tells, then rings."""
        return open_unit(self.engine, self.bus, self.bell)

    def statement(self) -> AbstractAsyncContextManager[Connection]:
        """A change of one statement that tells nobody; it commits by itself."""
        return self.statements.connection()

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """One snapshot, read-only."""
        return read(self.engine)

    def look(self) -> AbstractAsyncContextManager[AsyncSession]:
        """One snapshot, read-only, for rows as instances."""
        return look(self.engine)

    def glance(self) -> AbstractAsyncContextManager[AsyncSession]:
        """`look` for one statement, at a third of its price."""
        return glance(self._each)
