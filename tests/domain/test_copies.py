"""Which copies of the data are kept, and how one is cut."""

import io
import random
import tarfile
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.copies import LAST, PIECE, Cause, Copy, Cutter, superfluous

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def copies(cause: Cause, *hours: int) -> list[Copy[str]]:
    """Copies that were made so many hours ago."""
    return [Copy(f"{cause}-{ago}", cause, NOW - timedelta(hours=ago)) for ago in hours]


@pytest.mark.parametrize(
    ("there", "gone"),
    [
        ([], []),
        (copies(Cause.ASKED, *range(LAST)), []),
        (copies(Cause.ASKED, 900, *range(LAST)), ["asked-900"]),
        (copies(Cause.RESTORE, 9) + copies(Cause.GOING_LIVE, 1, 2, 3, 4, 5), ["restore-9"]),
        (copies(Cause.SLEEP, 1, 2, 11), ["sleep-2", "sleep-11"]),
        (copies(Cause.SLEEP, 1, 13, 20, 40, 41, 61), ["sleep-20", "sleep-41", "sleep-61"]),
        (copies(Cause.SLEEP, 500, 501), ["sleep-501"]),
        (copies(Cause.SLEEP, 1) + copies(Cause.ASKED, *range(2, 2 + LAST)), []),
    ],
)
def test_which_copies_are_kept(there: list[Copy[str]], gone: list[str]) -> None:
    """The last five; of those of sleeping boxes the newest, and one for each of three days. It is noon."""
    for order in (there, there[::-1]):
        assert set(superfluous(order, NOW)) == set(gone)


def test_a_run_keeps_two_of_its_own_beside_those_of_others() -> None:
    """A first build that somebody looks at makes one with each ticket."""
    there = copies(Cause.GOING_LIVE, *range(1, 8), 20) + copies(Cause.ASKED, 15, 16)
    gone = superfluous(there, NOW, NOW - timedelta(hours=10))
    assert set(gone) == {f"going_live-{ago}" for ago in range(3, 8)}
    assert not superfluous(copies(Cause.GOING_LIVE, 1, 2, 11, 12), NOW, NOW - timedelta(hours=10))


def tar(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def cut(archive: bytes, part: int = 65_536) -> list[bytes]:
    cutter = Cutter()
    found = [piece for at in range(0, len(archive), part) for piece in cutter.feed(archive[at : at + part])]
    return [*found, *cutter.rest()]


NOISE = random.Random(1)
ROWS = NOISE.randbytes(3 * PIECE + 12_345)
ARCHIVE = tar(a=b"small", b=ROWS, c=b"more", d=NOISE.randbytes(200_000))


@pytest.mark.parametrize("archive", [b"", b"no archive", bytes(4096), ROWS, ARCHIVE, ARCHIVE[:-700]])
@pytest.mark.parametrize("part", [511, 65_536, 5 * PIECE])
def test_pieces_are_the_archive(archive: bytes, part: int) -> None:
    pieces = cut(archive, part)
    assert b"".join(pieces) == archive
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    assert pieces == cut(archive), "whatever parts it comes in"


def test_what_does_not_change_gives_the_same_pieces() -> None:
    """A file before it grows, and it grows itself."""
    before = set(cut(tar(a=b"x", rows=ROWS)))
    after = set(cut(tar(a=b"x" * 70_000, rows=ROWS + b"one row more")))
    assert sum(map(len, after - before)) < PIECE + 200_000
    assert len(before & after) == 3
