"""The network of this service's boxes: one bridge. Boxes cannot reach one another through it, and no port of
a box is published.

A container is made without a network. It is connected to this one for the time of an install step, or before
its start if the network mode is `open`. A container that starts again unconnected has no network.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Mapping

import structlog

from app.domain.workspace import NetworkMode
from app.runtime.docker.engine import Container, Engine
from app.runtime.leave import INSTALL_S
from app.runtime.to_its_end import to_its_end
from app.runtime.workspace import SandboxUnavailable

NO_NETWORK = "none"
"""The engine's name for "no network". A container on it can be on no other."""
OPTIONS = {"com.docker.network.bridge.enable_icc": "false"}
FORGOTTEN_S = INSTALL_S + 60.0
"""Seconds after which a connection cannot belong to an install step that is still running."""

log = structlog.get_logger()


class Network:
    """The bridge of one instance. Every method may raise SandboxUnavailable."""

    def __init__(self, engine: Engine, instance: str, labels: Mapping[str, str], mode: NetworkMode) -> None:
        self.name = f"boardroom-{instance}"
        self._engine = engine
        self._labels = labels
        self._mode = mode
        self._seen: dict[str, float] = {}
        """When each connection was first seen (monotonic seconds), by its endpoint id."""

    async def settle(self, box: str, container: Container) -> None:
        """Connect or disconnect a container, as the network mode demands, before it starts or a worker uses
        it. A process that died in an install step may have left it connected."""
        connected = self.name in container.networks
        if self._mode == "open" and not connected:
            await self._connect(box)
        elif self._mode != "open" and connected:
            await self._disconnect(box)

    @contextlib.asynccontextmanager
    async def connected(self, box: str) -> AsyncIterator[None]:
        """A context in which the box has the network. At its end the box is disconnected, also after an error
        or a cancellation."""
        try:
            await self._connect(box)
            yield
        finally:
            await to_its_end(self._disconnect(box))

    async def cut_off(self) -> None:
        """Disconnect boxes that have been connected for longer than any install step lasts: the process that
        connected them has died."""
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
        """Remove the network, unless a box is connected to it."""
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
