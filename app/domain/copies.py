"""Copies of an app's data: why they are made, which are kept, and how one is cut into pieces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

K = TypeVar("K")

LAST = 5
"""How many copies are kept, beside those of sleeping boxes."""

OF_A_RUN = 2
"""How many of these may be made before versions of one run go live. A first build that somebody looks at
brings a version live with each ticket."""

DAYS = 3
"""For how many days, today included, one copy a day of a sleeping box is kept."""

COPY_BYTES = 256 << 20
"""The most bytes of a stored copy, unless `DATA_COPY_MAX_MB` says something else."""

PIECE = 1 << 20
"""The most bytes of a piece."""

BLOCK = 512
OWN_PIECE = 64 * 1024
"""A file of at least so many bytes begins a piece, so that what does not change gives the same pieces,
whatever grows before it."""


class Cause(StrEnum):
    CONTINUATION = "continuation"
    GOING_LIVE = "going_live"
    RESTORE = "restore"
    ASKED = "asked"
    SLEEP = "sleep"


@dataclass(frozen=True)
class Copy(Generic[K]):
    id: K
    cause: Cause
    created_at: datetime


def superfluous(copies: Sequence[Copy[K]], now: datetime, run_began: datetime | None = None) -> list[K]:
    """The copies that need not be kept. Kept are the last `LAST`, among which are at most `OF_A_RUN` of the
    run that `run_began`; of those made when a box went to sleep the newest, and the newest of each of the
    last `DAYS` days (UTC)."""
    newest = sorted(copies, key=lambda copy: copy.created_at, reverse=True)
    of_run = [
        copy.id
        for copy in newest
        if run_began is not None and copy.cause is Cause.GOING_LIVE and copy.created_at >= run_began
    ]
    others = [copy.id for copy in newest if copy.cause is not Cause.SLEEP]
    kept = [copy_id for copy_id in others if copy_id not in of_run[OF_A_RUN:]][:LAST]
    sleeping = [copy for copy in newest if copy.cause is Cause.SLEEP]
    kept += [copy.id for copy in sleeping[:1]]
    for day in range(DAYS):
        date = (now - timedelta(days=day)).date()
        kept += [copy.id for copy in sleeping if copy.created_at.date() == date][:1]
    return [copy.id for copy in copies if copy.id not in kept]


class Cutter:
    """Cuts a tar archive, given in parts of any size, into pieces. Of an archive that is none it makes pieces
    all the same: what a piece begins with decides only how much of it is stored already."""

    def __init__(self) -> None:
        self._piece = bytearray()
        self._head = bytearray()
        self._content = 0
        self._is_own = False

    def feed(self, part: bytes) -> Iterator[bytes]:
        """The pieces that are full with this part."""
        rest = memoryview(part)
        while rest:
            if self._content:
                room = min(self._content, PIECE - len(self._piece), len(rest))
                self._piece += rest[:room]
                self._content -= room
                rest = rest[room:]
                ends = self._is_own and not self._content
            else:
                room = min(BLOCK - len(self._head), PIECE - len(self._piece), len(rest))
                self._head += rest[:room]
                self._piece += rest[:room]
                rest = rest[room:]
                ends = False
                if len(self._head) == BLOCK:
                    size = _size(bytes(self._head[124:136]))
                    self._head.clear()
                    self._content = -(-size // BLOCK) * BLOCK
                    ends = self._is_own = size >= OWN_PIECE
            if ends or len(self._piece) == PIECE:
                yield bytes(self._piece)
                self._piece.clear()

    def rest(self) -> Iterator[bytes]:
        """The last piece, if anything is left."""
        if self._piece:
            yield bytes(self._piece)
            self._piece.clear()


def _size(field: bytes) -> int:
    """The bytes of a member, from its header; 0 if that is no number."""
    digits = field.strip(b" \0")
    return int(digits, 8) if digits and all(48 <= digit < 56 for digit in digits) else 0
