"""Watches the engine's events for containers that ended, and tells attached channels at once, with the
cause."""

import asyncio

import structlog

from app.runtime.channel import Channel
from app.runtime.docker.boxes import DockerBox, Fleet
from app.runtime.workspace import SandboxUnavailable

log = structlog.get_logger()

AGAIN_S = 1.0
"""Seconds before the events are asked for again after they broke off. Meanwhile channels notice a death by
their broken streams."""


class Deathwatch:
    """Ends the channels of each box whose container has ended, with the cause of its end."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._watched: dict[str, list[tuple[DockerBox, Channel]]] = {}
        self._listening: asyncio.Task[None] | None = None

    def watch(self, box: DockerBox, channel: Channel) -> None:
        """End `channel` if the box's container ends. Closed channels are dropped at the next call."""
        for name, watched in list(self._watched.items()):
            self._watched[name] = [each for each in watched if each[1].open]
            if not self._watched[name]:
                del self._watched[name]
        self._watched.setdefault(box.name, []).append((box, channel))
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())

    def forget(self, box: DockerBox) -> None:
        """Stop watching a box that this process removes itself."""
        self._watched.pop(box.name, None)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                async for name in self._fleet.engine.deaths(self._fleet.labels):
                    await self._tell(name)
            except SandboxUnavailable as problem:
                log.info("deaths.not_heard", problem=str(problem))
            await asyncio.sleep(AGAIN_S)

    async def _tell(self, name: str) -> None:
        watched = [each for each in self._watched.get(name, []) if each[1].open]
        if not watched:
            return
        cause = await watched[0][0].cause_of_end()
        if not cause:  # it runs again, and these channels are attached to the new container
            return
        log.warning("box.died", box=name, cause=cause)
        for _, channel in watched:
            channel.end(cause)
