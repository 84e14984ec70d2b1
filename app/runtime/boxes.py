"""What a kind of box has to be able to do, so that `keeping.Boxes` can do the rest."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from app.runtime.channel import Channel
from app.runtime.guest.ends import Sink, Source
from app.runtime.leave import Connect
from app.runtime.worlds import BoxId


@dataclass(frozen=True)
class Seen:
    """How a box is. A `frozen` one keeps its processes and does not run them. `problem` is a sentence that
    says how it failed, if that is why it is asleep. An `outdated` one was made by another version of the
    service, or with other settings."""

    state: Literal["none", "asleep", "frozen", "running"]
    began: datetime | None = None
    problem: str = ""
    outdated: bool = False


class Box(Protocol):
    """One box, as one caller uses it. Every method may raise SandboxUnavailable."""

    id: BoxId

    async def look(self) -> Seen:
        """How the box is now."""

    async def adopt(self) -> None:
        """Take over a box that was made in advance, if this one has no files and there is such a box."""

    async def create(self) -> None:
        """Make the place for the box's files, unless there is one."""

    async def exists(self) -> bool:
        """Whether the box has a place for its files."""

    async def note_fence(self, fence: int) -> None:
        """Record the job's highest fence, which has to outlive every guest. Raises FenceLost if it is
        higher."""

    async def wake(self, for_worker: bool) -> None:
        """Start or thaw the box, unless it runs."""

    async def open(self) -> tuple[Source, Sink]:
        """A connection to the guest of the running box. Raises BoxDied."""

    async def leave(self) -> None:
        """Close the connection that `wake` may have made, if `open` did not return it."""

    def watch(self, channel: Channel) -> None:
        """End the channel when the box is known to have ended."""

    async def ended(self) -> None:
        """Wait a moment for the box to end after its guest has."""

    async def kill(self) -> None:
        """End the box and all its processes now. The files stay."""

    async def last_words(self) -> str:
        """The end of the guest's stderr, if it is known."""

    @property
    def connect(self) -> Connect | None:
        """See `Attachment`."""
