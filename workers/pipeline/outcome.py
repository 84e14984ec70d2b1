"""How a stage ends."""

from enum import Enum, auto

from app.domain.job import FailureCode


class Outcome(Enum):
    """`NEXT`: the row says what comes next. `WAIT`: for the client's next message. `OVER`: the run ended."""

    NEXT = auto()
    WAIT = auto()
    OVER = auto()


class StageFailed(Exception):
    """The run cannot go on: `detail` says what happened and what to do next."""

    def __init__(self, code: FailureCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
