"""The interfaces that a link reads from and writes to: a socket, or the pipes of a relay."""

from typing import Protocol


class Source(Protocol):
    """What a link reads from; `asyncio.StreamReader` is one."""

    async def read(self, n: int) -> bytes: ...

    async def readexactly(self, n: int) -> bytes: ...


class Sink(Protocol):
    """What a link writes to; `asyncio.StreamWriter` is one."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def is_closing(self) -> bool: ...

    def close(self) -> None: ...
