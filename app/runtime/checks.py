"""The calls of a `Workspace` for checks on a commit beside `check` itself."""

from app.domain.workspace import Manifest
from app.runtime.checker import manifest_of
from app.runtime.live_calls import LiveCalls


class CheckCalls(LiveCalls):
    """A part of `Attachment`."""

    async def manifest(self, commit: str) -> Manifest | None:
        return (await manifest_of(self._channel, commit))[0]
