"""What a worker can do with the client's app: bring it to another commit, and copy its data."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from app.domain.errors import Unavailable


class AppHeld(Unavailable):
    """The app is just being brought to another commit; it answers again in a moment."""

    def __init__(self) -> None:
        super().__init__("The app is just being changed. Try again in a moment.", code="going_live")


@dataclass(frozen=True)
class Switched:
    """What a `switch` did with files of the app, at most 200 paths each. `kept`: the app has files of its own
    where the new commit has some, too. `replaced`: the app had changed them, and now they are the
    commit's."""

    kept: tuple[str, ...]
    replaced: tuple[str, ...]


@dataclass(frozen=True)
class DataCopy:
    """A copy of the app's data: how many files, links and folders, and how many bytes without holes."""

    entries: int
    bytes: int


class LiveApp(Protocol):
    """A part of `workspace.Workspace`."""

    def pack(self, want: str, have: str | None) -> AsyncIterator[bytes]:
        """The objects that the commit `want` reaches and the commit `have` does not, for `learn` in another
        box of the job."""

    async def learn(self, pack: AsyncIterator[bytes]) -> None:
        """Add objects to the repository; no ref is changed. Objects are named by their hashes, so what
        another box says is checked. Only on a worker's attachment."""

    async def hold(self) -> None:
        """Let running requests end (bounded), end the app and everything else that runs in the box, and let
        no request begin until `release`. Only on a worker's attachment; idempotent."""

    async def release(self) -> None:
        """Let requests begin again. The app has to be started before. Idempotent."""

    async def switch(self, old: str | None, new: str) -> Switched:
        """Bring the tracked files of /app from the commit `old` to `new`, and the head with them; the app's
        data stay (see `guest.switching`). The app has to be held. It can be repeated after it broke off.
        Raises Conflict `in_the_way`."""

    async def set_aside(self, commit: str | None) -> DataCopy:
        """Copy the app's data into a folder of the box, in place of an earlier copy: what lies in /app and is
        not `commit`'s, nor installed (see `guest.data`). All of the job's processes stand still meanwhile.
        Raises Conflict `workspace_full`, TooLarge."""

    def read_unused(
        self, commit: str | None, most: int, count: Callable[[DataCopy], None]
    ) -> AsyncIterator[bytes]:
        """The archive that `set_aside` and `aside` would give, read directly while nobody uses the box; at
        the end `count` is told what is in it. The app's processes, if there are any, stand still meanwhile.
        Raises WorkspaceBusy as soon as somebody uses the box, TooLarge if the data have more than `most`
        bytes."""

    def aside(self) -> AsyncIterator[bytes]:
        """The copy that lies aside, as a tar archive (pax; files with holes in GNU's sparse format 1.0).
        Raises NotFound."""

    async def take_in(self, archive: AsyncIterator[bytes]) -> DataCopy:
        """Lay a copy aside that `aside` has given. Raises Conflict `workspace_full`."""

    async def put_back(self, commit: str | None) -> None:
        """Make the app's data those of the copy that lies aside; `commit` is the present one. Raises NotFound
        if there is none, Conflict `workspace_full`."""

    async def drop_aside(self) -> None: ...
