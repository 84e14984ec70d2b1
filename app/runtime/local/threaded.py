"""A local box as `boxes.Box`: the functions of `LocalBox` block, so they run in threads."""

import asyncio
import socket
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from app.runtime.boxes import Seen
from app.runtime.channel import Channel
from app.runtime.guest.ends import Sink, Source
from app.runtime.leave import Connect
from app.runtime.local.boxes import BoxLimits, LocalBox
from app.runtime.local.bubblewrap import Tools
from app.runtime.workspace import BoxDied

P = ParamSpec("P")
C = TypeVar("C", bound=socket.socket | None)


class ThreadedBox:
    """See `boxes.Box`. Local boxes have no network, and end by themselves when they are idle."""

    connect: Connect | None = None

    def __init__(self, box: LocalBox, tools: Callable[[], Tools], limits: BoxLimits) -> None:
        """`tools` finds the programs of boxes when one is to be started; it may raise SandboxUnavailable."""
        self.id = box.id
        self._box = box
        self._tools = tools
        self._limits = limits
        self._woken: socket.socket | None = None

    async def look(self) -> Seen:
        return await asyncio.to_thread(self._look)

    def _look(self) -> Seen:
        if not self._box.exists:
            return Seen("none")
        return Seen("running" if self._box.runs else "asleep")

    async def adopt(self) -> None:
        """Nothing: a local box is made as quickly as it could be taken over."""

    async def create(self) -> None:
        await asyncio.to_thread(self._create)

    def _create(self) -> None:
        self._tools()
        self._box.create()

    async def exists(self) -> bool:
        return await asyncio.to_thread(self._exists)

    def _exists(self) -> bool:
        self._tools()  # where no box can be made, that is what is wrong
        return self._box.exists

    async def note_fence(self, fence: int) -> None:
        await asyncio.to_thread(self._box.note_fence, fence)

    async def wake(self, for_worker: bool) -> None:
        await self.leave()
        self._woken = await _brought(self._start)

    def _start(self) -> socket.socket:
        return self._box.start(self._tools(), self._limits)

    async def open(self) -> tuple[Source, Sink]:
        connection, self._woken = self._woken, None
        connection = connection or await _brought(self._box.connect)
        if connection is None:
            raise BoxDied("the guest has ended")
        return await asyncio.open_unix_connection(sock=connection)

    async def leave(self) -> None:
        connection, self._woken = self._woken, None
        if connection is not None:
            connection.close()

    def watch(self, channel: Channel) -> None:
        """Nothing: the end of a guest ends the connections of its socket."""

    async def ended(self) -> None:
        """Nothing: `kill` waits."""

    async def kill(self) -> None:
        await asyncio.to_thread(self._box.kill)

    async def last_words(self) -> str:
        return await asyncio.to_thread(self._box.log_tail)


async def _brought(bring: Callable[P, C], *args: P.args, **kwargs: P.kwargs) -> C:
    """The connection that `bring` makes in a thread. If this task is cancelled the thread goes on, and its
    connection is closed."""
    bringing = asyncio.ensure_future(asyncio.to_thread(bring, *args, **kwargs))
    try:
        return await asyncio.shield(bringing)
    except asyncio.CancelledError:
        bringing.add_done_callback(_close_result)
        raise


def _close_result(bringing: "asyncio.Future[C]") -> None:
    if bringing.exception() is None and (connection := bringing.result()) is not None:
        connection.close()
