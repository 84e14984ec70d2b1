"""The output of a command, limited to its head and its tail."""

import asyncio

from .frames import PIECE
from .link import Stream
from .process import Command, Ended


class Output:
    """Keeps at most `limit` bytes: half of them from the beginning, half from the end. `total` counts all.
    `add` is the sink of a command."""

    def __init__(self, limit: int) -> None:
        self._head_limit = limit // 2
        self._tail_limit = limit - self._head_limit
        self._tail = bytearray()
        self.head = bytearray()
        self.total = 0
        self.changed = asyncio.Event()

    def add(self, data: bytes) -> None:
        self.total += len(data)
        room = self._head_limit - len(self.head)
        self.head += data[:room]
        self._tail += data[room:]
        if len(self._tail) > 2 * self._tail_limit:
            del self._tail[: -self._tail_limit]
        self.changed.set()

    @property
    def tail(self) -> bytes:
        return bytes(self._tail[-self._tail_limit :])

    @property
    def text(self) -> bytes:
        return bytes(self.head) + self.tail


async def pass_on(command: Command, output: Output, stream: Stream) -> Ended:
    """Send the head while the command runs, and the tail when it has ended."""
    command.over.add_done_callback(lambda _: output.changed.set())
    sent = 0
    while True:
        output.changed.clear()
        while sent < len(output.head):
            piece = bytes(output.head[sent : sent + PIECE])
            await stream.send(piece)
            sent += len(piece)
        if command.over.done():
            break
        await output.changed.wait()
    await stream.send(output.tail)
    return command.over.result()
