"""Why a socket is closed."""

from enum import IntEnum

from app.domain.errors import Forbidden, NotFound, Refusal, Unauthorized, Unavailable


class Close(IntEnum):
    """The close codes that our code sends. uvicorn adds 1009 (a frame over 64 KiB) and 1012 (restart).
    Clients log in again on 4001, 4003 and 1008, so these are used for nothing else."""

    GONE = 1000
    FOREIGN_ORIGIN = 1008
    OUR_FAULT = 1011
    UNAVAILABLE = 1013
    UNAUTHORIZED = 4001
    NOT_YOURS = 4003
    TOO_SLOW = 4408
    TOO_MANY_MESSAGES = 4429


CLOSE_FOR: dict[type[Refusal], Close] = {
    Unauthorized: Close.UNAUTHORIZED,
    Forbidden: Close.FOREIGN_ORIGIN,
    NotFound: Close.NOT_YOURS,
    Unavailable: Close.UNAVAILABLE,
}
"""The close code for each kind of refusal when a socket is opened."""


def close_for(refusal: Refusal) -> Close:
    for kind, code in CLOSE_FOR.items():
        if isinstance(refusal, kind):
            return code
    return Close.OUR_FAULT


def label_of(code: int) -> str:
    """The label under which a close code is counted. Clients may send any code; unknown ones share a
    label."""
    return str(int(code)) if code in _COUNTED else "other"


_COUNTED = frozenset({*Close, *range(1000, 1016)})
