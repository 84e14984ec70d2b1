"""The network of this service's boxes: one bridge, on which no box reaches another, and nobody reaches a box.

A container is made without a network and given this one: for an install step, or before its start where the
network is open. One that starts again without being given it has none.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Mapping

import structlog

from app.domain.workspace import NetworkMode
from app.runtime.docker.engine import Container, Engine
from app.runtime.leave import INSTALL_S
from app.runtime.workspace import SandboxUnavailable

NO_NETWORK = "none"
"""The engine's name of its network that is none; who is on it can be on no other."""
OPTIONS = {"com.docker.network.bridge.enable_icc": "false"}
FORGOTTEN_S = INSTALL_S + 60.0
"""Longer than this no install step has its network."""

log = structlog.get_logger()


class Network:
    """Every verb raises SandboxUnavailable."""

    def __init__(self, engine: Engine, instance: str, labels: Mapping[str, str], mode: NetworkMode) -> None:
        self.name = f"boardroom-{instance}"
        self._engine = engine
        self._labels = labels
        self._mode = mode
        self._seen: dict[str, float] = {}
        """Since when each connection of a box to the network is known, by the engine's id of it."""

    async def settle(self, box: str, container: Container) -> None:
        """See that a container which is about to run, or about to be worked in, has a network if it should,
        and none if not: whoever gave it one for an install step may be dead."""
        connected = self.name in container.networks
        if self._mode == "open" and not connected:
            await self._connect(box)
        elif self._mode != "open" and connected:
            await self._disconnect(box)

    @contextlib.asynccontextmanager
    async def connected(self, box: str) -> AsyncIterator[None]:
        """Within, the container has the network. It is taken away whatever happens, before the end."""
        try:
            await self._connect(box)
            yield
        finally:
            await _to_its_end(self._disconnect(box))

    async def cut_off(self) -> None:
        """Take the network from boxes that have had it for longer than any install step lasts: whoever gave
        it is dead."""
        if self._mode == "open":
            return
        found = await self._engine.connections(self.name)
        now = time.monotonic()
        self._seen = {each: self._seen.get(each, now) for each in found}
        for each, box in found.items():
            if now - self._seen[each] > FORGOTTEN_S:
                log.warning("box.cut_off", box=box)
                await self._disconnect(box)

    async def remove(self) -> None:
        """When no box is on it."""
        await self._engine.remove_network(self.name)

    async def _connect(self, box: str) -> None:
        container = await self._engine.inspect(box)
        if container is None:
            raise SandboxUnavailable("the box has gone")
        await self._engine.create_network(self.name, self._labels, OPTIONS)
        if NO_NETWORK in container.networks:
            await self._engine.disconnect(NO_NETWORK, box)
        if self.name not in container.networks:
            await self._engine.connect(self.name, box)

    async def _disconnect(self, box: str) -> None:
        container = await self._engine.inspect(box)
        if container is not None and self.name in container.networks:
            await self._engine.disconnect(self.name, box)


async def _to_its_end(work: Coroutine[None, None, None]) -> None:
    """Await `work`, which goes on when we are cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
