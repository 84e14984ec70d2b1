"""Connects a box to a network for an install step, and disconnects it before the guest goes on."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from app.runtime.channel import Exchange
from app.runtime.guest.frames import Violation
from app.runtime.guest.installing import BEGINS, INSTALL_S, IS_OVER

__all__ = ["INSTALL_S", "Connect", "Leave"]

Connect = Callable[[], AbstractAsyncContextManager[None]]
"""Makes a context in which the box has a network. Raises SandboxUnavailable; if that happens at the end of
the context, the box may still have the network."""


class Leave:
    """The host's side of `guest.installing.Gate`: the guest waits for its answers before and after an install
    step."""

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
