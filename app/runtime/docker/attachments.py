"""How an attachment to a container ends: one alone on its channel says goodbye, one of many just leaves."""

import asyncio
import contextlib

import structlog

from app.domain.workspace import Manifest
from app.runtime import answers
from app.runtime.attachment import Attachment
from app.runtime.workspace import AppStatus, RuntimeProblem

log = structlog.get_logger()

GOODBYE_S = 5.0


class WorkerAttachment(Attachment):
    """Alone on its channel. The engine passes the end of a stream on when it likes, so we say goodbye."""

    async def close(self) -> None:
        with contextlib.suppress(RuntimeProblem, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._channel.ask(answers.Done, "detach")
        await super().close()


class SharedAttachment(Attachment):
    """On a channel that others use too. An app that is being started goes on when who asked for it leaves."""

    async def start_app(self, manifest: Manifest) -> AppStatus:
        starting = asyncio.create_task(super().start_app(manifest))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_look_at)
            raise

    async def close(self) -> None:
        self._on_close(self)


def _look_at(task: "asyncio.Task[AppStatus]") -> None:
    """Nobody else does any more."""
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.info("app.not_started", problem=str(problem))
