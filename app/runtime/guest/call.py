"""A call of a process of the service, as the guest's functions get it."""

from collections.abc import Callable

from .box import Box
from .frames import Json
from .link import Stream


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
