"""The calls of a `Workspace` for checks on a commit beside `check` itself."""

from collections.abc import Sequence

from app.domain.ticket import HttpCheck
from app.domain.workspace import Manifest
from app.runtime.checker import manifest_of
from app.runtime.gets import run_gets
from app.runtime.leave import Leave
from app.runtime.live_calls import LiveCalls
from app.runtime.workspace import CheckResult


class CheckCalls(LiveCalls):
    """A part of `Attachment`."""

    _leave: Leave | None

    async def manifest(self, commit: str) -> Manifest | None:
        return (await manifest_of(self._channel, commit))[0]

    async def check_gets(self, commit: str, checks: Sequence[HttpCheck]) -> Sequence[CheckResult]:
        return await run_gets(self._channel, commit, checks, self._leave)
