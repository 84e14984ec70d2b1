"""Visits and removes trees of any depth, through descriptors and never through a link."""

import asyncio
import contextlib
import itertools
import math
import os
import stat
from collections.abc import Iterator

from .paths import FOLDER, Refused

MOST_ENTRIES = 400_000
MOST_DEPTH = 1500
BREATH = 200
SOME = 5000
"""How many names of a folder are read at a time when it is emptied."""


class Walk:
    """Visits everything below a folder, parents before children, with one open descriptor however deep it is.
    Nothing else may change the tree meanwhile. Folders of a name in `left_out` are not visited, nor is the
    folder's own `.git` unless `with_git`. If it is `bounded`, it raises Refused `too_deep` and `too_many`.
    """

    def __init__(
        self,
        root: str,
        left_out: frozenset[str] = frozenset(),
        *,
        bounded: bool = True,
        with_git: bool = False,
    ) -> None:
        self._left_out = left_out
        self._own_git = "" if with_git else ".git"
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
                if (not above and name == self._own_git) or (is_folder and name in self._left_out):
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
    for place, _ in enumerate(emptying(path)):
        await breathe(place)
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(path)


def remove_now(path: str) -> None:
    """Like `remove`, for what is small or happens before anything else."""
    for _ in emptying(path):
        pass
    os.rmdir(path)


def emptying(root: str) -> Iterator[None]:
    """Remove all that is in a folder, one entry each time. It needs one descriptor and little memory, however
    deep or wide the tree is. Folders without permission are made removable. Raises OSError."""
    folder = os.open(root, FOLDER)
    above: list[str] = []
    waiting = [_some(folder)]
    try:
        while True:
            if waiting[-1]:
                name = waiting[-1].pop()
                with contextlib.suppress(FileNotFoundError):
                    mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
                    if not stat.S_ISDIR(mode):
                        os.unlink(name, dir_fd=folder)
                        yield
                        continue
                    if mode & 0o700 != 0o700:
                        os.chmod(name, stat.S_IMODE(mode) | 0o700, dir_fd=folder)
                    folder = _moved(folder, name)
                    above.append(name)
                    waiting.append(_some(folder))
            elif more := _some(folder):
                waiting[-1] = more
            elif above:
                waiting.pop()
                folder = _moved(folder, "..")
                os.rmdir(above.pop(), dir_fd=folder)
                yield
            else:
                return
    finally:
        os.close(folder)


def _some(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in itertools.islice(entries, SOME)]


def _moved(folder: int, name: str) -> int:
    """The descriptor of a folder inside `folder`, which is closed if that succeeds."""
    inner = os.open(name, FOLDER, dir_fd=folder)
    os.close(folder)
    return inner


async def breathe(place: int) -> None:
    """Give other tasks of the guest a turn once in a while, given the number of an entry."""
    if place % BREATH == 0:
        await asyncio.sleep(0)
