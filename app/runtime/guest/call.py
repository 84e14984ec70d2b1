"""One call to the guest, with what it may do."""

from collections.abc import Callable

from .box import Box
from .frames import Json
from .link import Stream
from .paths import Refused


class Call:
    """One call: the box, its stream and its arguments. `may_change` says whether files may be changed now. A
    change is committed at once with the author `save_as`, by `record(message, author)`; if `save_as` is
    empty, the caller commits itself."""

    def __init__(
        self,
        box: Box,
        stream: Stream,
        args: Json,
        save_as: str = "",
        may_change: Callable[[], bool] = lambda: True,
        record: Callable[[str, str], None] = lambda message, author: None,
    ) -> None:
        self.box = box
        self.stream = stream
        self.args = args
        self.save_as = save_as
        self.may_change = may_change
        self.record = record

    async def disown(self) -> None:
        """Before files are changed: what has changed since they were last recorded is the app's. A client's
        app may have run in an earlier life of the box."""
        if self.save_as:
            await self.box.repository.disown()
        else:
            await self.box.disown()

    def only_for_workers(self) -> None:
        """Raises Refused for an attachment of the API."""
        if self.save_as:
            raise Refused("failed", "only a worker may do this")
