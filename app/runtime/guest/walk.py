"""Visits and removes trees of any depth, through descriptors and never through a link."""

import asyncio
import contextlib
import math
import os
import stat
from collections.abc import Iterator

from .beside import Below
from .paths import FOLDER, Refused

MOST_ENTRIES = 400_000
MOST_DEPTH = 1500
BREATH = 200


class Walk:
    """Visits everything below a folder, parents before children, with one open descriptor however deep it is.
    Nothing else may change the tree meanwhile. Folders of a name in `left_out` are not visited, nor is the
    folder's own `.git`. If it is `bounded`, it raises
    Refused `too_deep` and `too_many`."""

    def __init__(self, root: str, left_out: frozenset[str] = frozenset(), *, bounded: bool = True) -> None:
        self._left_out = left_out
        self._most = (MOST_DEPTH, MOST_ENTRIES) if bounded else (math.inf, math.inf)
        self.folder = os.open(root, FOLDER)

    def __iter__(self) -> Iterator[tuple[str, str, os.stat_result]]:
        """(path relative to the root, its name in the descriptor `self.folder`, its status)."""
        above: list[str] = []
        waiting = [self._names()]
        count = 0
        try:
            while waiting:
                if not waiting[-1]:
                    waiting.pop()
                    if above:
                        above.pop()
                        self._move("..")
                    continue
                name = waiting[-1].pop()
                status = os.stat(name, dir_fd=self.folder, follow_symlinks=False)
                is_folder = stat.S_ISDIR(status.st_mode)
                if (not above and name == ".git") or (is_folder and name in self._left_out):
                    continue
                count += 1
                if count > self._most[1]:
                    raise Refused("too_many")
                yield "/".join([*above, name]), name, status
                if is_folder:
                    if len(above) >= self._most[0]:
                        raise Refused("too_deep")
                    if status.st_mode & 0o700 != 0o700:  # the job took permissions from its own folder
                        os.chmod(name, stat.S_IMODE(status.st_mode) | 0o700, dir_fd=self.folder)
                    self._move(name)
                    above.append(name)
                    waiting.append(self._names())
        finally:
            os.close(self.folder)

    def _names(self) -> list[str]:
        return sorted(os.listdir(self.folder), reverse=True)

    def _move(self, name: str) -> None:
        inner = os.open(name, FOLDER, dir_fd=self.folder)
        os.close(self.folder)
        self.folder = inner


async def remove(path: str) -> None:
    """Remove a folder with all that is in it, if it exists."""
    if not os.path.isdir(path):  # noqa: ASYNC240 - the guest has one thread and nothing faster to do
        return
    folders = []
    walk = Walk(path, bounded=False)
    for place, (inner, name, status) in enumerate(walk):
        if stat.S_ISDIR(status.st_mode):
            folders.append(inner)
        else:
            os.unlink(name, dir_fd=walk.folder)
        await breathe(place)
    with Below(path) as below:
        for place, inner in enumerate(reversed(folders)):
            os.rmdir(below.at(inner), dir_fd=below.folder)
            await breathe(place)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)


async def breathe(place: int) -> None:
    """Give other tasks of the guest a turn once in a while, given the number of an entry."""
    if place % BREATH == 0:
        await asyncio.sleep(0)
