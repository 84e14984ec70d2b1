"""The attachments of this process's previews to boxes: one per box, shared by all its requests."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from app.runtime.runtime import Runtime
from app.runtime.workspace import Workspace, WorkspaceMissing

LINGER_S = 10.0
"""Seconds for which an unused attachment stays open, since a page makes many requests."""


class PreviewBoxes:
    """Attachments to boxes that run. It never wakes or makes a box."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open: dict[UUID, Workspace] = {}
        self._opening: dict[UUID, asyncio.Lock] = {}
        self._users: Counter[UUID] = Counter()
        self._leaving: dict[UUID, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def use(self, job_id: UUID) -> AsyncIterator[Workspace]:
        """The box of this job. Raises WorkspaceMissing if it does not run, RuntimeProblem."""
        self._users[job_id] += 1
        if (leaving := self._leaving.pop(job_id, None)) is not None:
            leaving.cancel()
        try:
            yield await self._attach(job_id)
        finally:
            self._users[job_id] -= 1
            if not self._users[job_id]:
                del self._users[job_id]
                self._leaving[job_id] = asyncio.create_task(self._leave(job_id))

    async def drop(self, job_id: UUID, workspace: Workspace) -> None:
        """Forget a broken attachment; the next request attaches again."""
        if self._open.get(job_id) is workspace:
            del self._open[job_id]
            await workspace.close()

    async def close(self) -> None:
        for leaving in self._leaving.values():
            leaving.cancel()
        await asyncio.gather(*self._leaving.values(), return_exceptions=True)
        while self._open:
            _, workspace = self._open.popitem()
            await workspace.close()

    async def _attach(self, job_id: UUID) -> Workspace:
        async with self._opening.setdefault(job_id, asyncio.Lock()):
            found = self._open.get(job_id)
            if found is None:
                if (await self._runtime.status(job_id)).state != "running":
                    raise WorkspaceMissing("the box does not run")
                found = self._open[job_id] = await self._runtime.attach(job_id)
            return found

    async def _leave(self, job_id: UUID) -> None:
        await asyncio.sleep(LINGER_S)
        self._leaving.pop(job_id, None)
        self._opening.pop(job_id, None)
        if (workspace := self._open.pop(job_id, None)) is not None:
            with contextlib.suppress(OSError):
                await workspace.close()
