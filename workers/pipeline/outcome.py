"""How a stage ends."""

from enum import Enum, auto

from app.domain.job import FailureCode


class Outcome(Enum):
    """`NEXT`: continue with the stage that the run's row names. `WAIT`: until the client has done something.
    `OVER`: the run has ended."""

    NEXT = auto()
    WAIT = auto()
    OVER = auto()


class StageFailed(Exception):
    """The job has to fail. `detail` says what happened and what the client can do."""

    def __init__(self, code: FailureCode, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
