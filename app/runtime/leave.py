"""Giving a box its network for an install step, and taking it away again before anything else goes on."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from app.runtime.channel import Exchange
from app.runtime.guest.frames import Violation
from app.runtime.guest.installing import BEGINS, INSTALL_S, IS_OVER

__all__ = ["INSTALL_S", "Connect", "Leave"]

Connect = Callable[[], AbstractAsyncContextManager[None]]
"""Within, the box has a network. Raises SandboxUnavailable, also at the end, when it may have it still."""


class Leave:
    """What a guest waits for before and after its install step (`guest.installing.Gate`)."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def __call__(self, call: Exchange) -> None:
        said = await call.read()
        if said == BEGINS:
            async with self._connect():
                await call.send(b".")
                said = await call.read()
        if said not in (IS_OVER, b""):
            raise Violation("an install step that neither begins nor is over")
        if said:
            await call.send(b".")
