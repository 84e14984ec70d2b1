"""What a link reads from and writes to: a socket, or the pipes of a relay."""

from typing import Protocol


class Source(Protocol):
    """Where a link reads: a part of what `asyncio.StreamReader` can."""

    async def read(self, n: int) -> bytes: ...

    async def readexactly(self, n: int) -> bytes: ...


class Sink(Protocol):
    """Where a link writes: a part of what `asyncio.StreamWriter` can."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def is_closing(self) -> bool: ...

    def close(self) -> None: ...
