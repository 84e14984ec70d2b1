"""The app's data: what lies in /app and belongs neither to the commit nor to what was installed.

Data is every untracked file, link and folder, and every tracked file whose content differs from that of the
commit. It is *set aside*: copied into a folder beside, with links as links and files with their holes; no
FIFO, socket or device. A copy that lies aside can be put back; `data_tar` sends it out and takes it in.
"""

import contextlib
import errno
import json
import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping

from . import checkout
from .beside import Below
from .checkout import Entry
from .frames import Json
from .paths import Refused
from .switching import RUNS
from .walk import Walk, breathe, remove

ASIDE = ".git/boardroom.data"
"""Where the copy lies, relative to the root. It is whole once it has this name."""

INSTALLED = frozenset({"node_modules", "__pycache__", ".venv", "venv"})
"""Folders that the install step and the interpreter make, at any depth: no data."""

PIECE = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_COPY_RANGE = (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)

Tracked = Mapping[str, Entry]
"""The files of a commit, by path."""


async def set_aside(root: str, tracked: Tracked) -> Json:
    """Copy the data aside, in place of an earlier copy. Returns how many `entries` and `bytes`
    (without holes) that were. Raises Refused `full`, `too_deep`, `too_many`."""
    async with new_copy(root) as (files, done):
        walk = Walk(root, INSTALLED)
        for place, (path, name, status) in enumerate(walk):
            if is_data(walk.folder, path, name, status, tracked):
                done["entries"] += 1
                done["bytes"] += copy_entry(walk.folder, name, status, files, path)
            await breathe(place)
    return done


async def put_back(root: str, tracked: Tracked) -> None:
    """Make the data of /app those of the copy that lies aside; `tracked` are the files of the present commit.
    Files that run stay the commit's. It can be repeated after it was broken off."""
    aside = f"{root}/{ASIDE}/files"
    if about(root) is None:
        raise Refused("missing")
    wanted = {path: stat.S_IFMT(status.st_mode) for path, _, status in Walk(aside)}
    folders, gone = list[str](), list[str]()
    for path, _, status in Walk(root, INSTALLED):
        if stat.S_ISDIR(status.st_mode):
            if wanted.get(path) != stat.S_IFDIR:
                folders.append(path)
        elif path not in tracked and wanted.get(path) != stat.S_IFMT(status.st_mode):
            gone.append(path)
    with Below(root) as below:
        for place, path in enumerate(gone):
            os.unlink(below.at(path), dir_fd=below.folder)
            await breathe(place)
        for path in reversed(folders):
            with contextlib.suppress(OSError):  # the commit has files in it
                os.rmdir(below.at(path), dir_fd=below.folder)
    walk = Walk(aside)
    with _told_if_full(), Below(root, make=True) as below:
        for place, (path, name, status) in enumerate(walk):
            if path not in tracked or not RUNS.search(path):
                copy_entry(walk.folder, name, status, below, path)
            await breathe(place)


async def drop_aside(root: str) -> None:
    for place in (f"{root}/{ASIDE}", f"{root}/{ASIDE}.new"):
        await remove(place)


def about(root: str) -> Json | None:
    """What `set_aside` or `take_in` told of the copy that lies aside; None if there is none."""
    with contextlib.suppress(OSError, ValueError), open(f"{root}/{ASIDE}/about.json") as file:
        found: Json = json.load(file)
        return found
    return None


@contextlib.asynccontextmanager
async def new_copy(root: str) -> AsyncIterator[tuple[Below, dict[str, int]]]:
    """The places of a new copy and what is told of it. The copy takes the earlier one's place if nothing
    fails."""
    await drop_aside(root)
    new = f"{root}/{ASIDE}.new"
    os.makedirs(f"{new}/files")
    done = {"entries": 0, "bytes": 0}
    try:
        with _told_if_full():
            with Below(f"{new}/files", make=True) as below:
                yield below, done
            _finish(root, done)
    except BaseException:
        await remove(new)
        raise


def _finish(root: str, done: Json) -> None:
    """Give a new copy its name, and with it what is told of it."""
    with open(f"{root}/{ASIDE}.new/about.json", "w") as file:
        json.dump(done, file)
    os.rename(f"{root}/{ASIDE}.new", f"{root}/{ASIDE}")


@contextlib.contextmanager
def _told_if_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise Refused("full") from error
        raise


def is_data(folder: int, path: str, name: str, status: os.stat_result, tracked: Tracked) -> bool:
    kind = stat.S_IFMT(status.st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR) or name.endswith(".saving"):
        return False
    entry = tracked.get(path)
    if entry is None or kind == stat.S_IFDIR:
        return True
    if kind == stat.S_IFLNK:
        return checkout.hash_of(os.fsencode(os.readlink(name, dir_fd=folder))) != entry.sha
    descriptor = open_to_read(folder, name, status)
    with os.fdopen(descriptor, "rb") as file:
        return checkout.hash_of_file(file, status.st_size) != entry.sha


def copy_entry(folder: int, name: str, status: os.stat_result, below: Below, path: str) -> int:
    """Copy `name` in the descriptor `folder` to `path` in `below`. Returns its bytes without holes."""
    if stat.S_ISDIR(status.st_mode):
        below.make_folder(path, status.st_mode)
        return 0
    if stat.S_ISLNK(status.st_mode):
        below.make_link(path, os.readlink(name, dir_fd=folder))
        return 0
    source = open_to_read(folder, name, status)
    try:
        with below.new_file(path, status.st_mode, status.st_mtime) as into:
            parts = list(extents(source, status.st_size))
            for at, length in parts:
                copy_range(source, at, into, at, length)
            os.ftruncate(into, status.st_size)
            return sum(length for _, length in parts)
    finally:
        os.close(source)


def open_to_read(folder: int, name: str, status: os.stat_result) -> int:
    """A descriptor of a regular file, also if the job has removed the permission to read its own file."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(name, flags, dir_fd=folder)
    except PermissionError:
        os.chmod(name, stat.S_IMODE(status.st_mode) | 0o400, dir_fd=folder)
        descriptor = os.open(name, flags, dir_fd=folder)
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        return descriptor


def copy_range(source: int, start: int, into: int, at: int, length: int) -> None:
    """Copy `length` bytes between two files; the file system shares the blocks where it can."""
    end = start + length
    while start < end:
        try:
            done = os.copy_file_range(source, into, min(end - start, 64 * PIECE), start, at)
        except OSError as error:
            if error.errno not in NO_COPY_RANGE:
                raise
            done = os.pwrite(into, os.pread(source, min(end - start, PIECE), start), at)
        if not done:
            return
        start, at = start + done, at + done


def extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that are no holes, as (offset, length) in bytes."""
    at = 0
    while at < size:
        try:
            start = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        at = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        if at <= start:
            return
        yield start, at - start
