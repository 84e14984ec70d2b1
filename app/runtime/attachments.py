"""The kinds of attachments to a box, which differ in how they are closed and in what they may do."""

import asyncio
import contextlib

import structlog

from app.domain.workspace import Manifest
from app.runtime import answers
from app.runtime.attachment import Attachment
from app.runtime.workspace import WIPE_S, AppStatus, RuntimeProblem

log = structlog.get_logger()

GOODBYE_S = 5.0
LATE_S = 30.0


class WorkerAttachment(Attachment):
    """A worker's attachment with a channel of its own. It tells the guest that it closes, because the engine
    may pass on the end of a stream much later."""

    async def close(self) -> None:
        with contextlib.suppress(RuntimeProblem, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                await self._channel.ask(answers.Done, "detach")
        await super().close()


class TrialAttachment(WorkerAttachment):
    """A worker's attachment to a trial, the only box whose files are nobody's."""

    async def wipe(self, within_s: float = WIPE_S, *, keep: str = "") -> frozenset[str]:
        wiped, _ = await self._channel.ask(
            answers.Wiped, "wipe", within_s=within_s, keep=keep, deadline_s=within_s + LATE_S
        )
        return frozenset(wiped.kept)


class SharedAttachment(Attachment):
    """An attachment on the channel that all callers in this process share. Closing it leaves the channel
    open, and a start of the app continues when its caller is cancelled."""

    async def start_app(self, manifest: Manifest) -> AppStatus:
        starting = asyncio.create_task(super().start_app(manifest))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_log_failure)
            raise

    async def close(self) -> None:
        self._on_close(self)


def _log_failure(task: "asyncio.Task[AppStatus]") -> None:
    """Log the error of a start that no caller waits for any more."""
    if not task.cancelled() and (problem := task.exception()) is not None:
        log.info("app.not_started", problem=str(problem))
