"""Lists, reads, saves and deletes files below a root, through descriptors only (see `paths`).

All functions raise `Refused`."""

import asyncio
import contextlib
import hashlib
import itertools
import os
import stat
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any

from .paths import FOLDER, Place, Refused, refusal_of

MAX_NAMES = 20_000
"""How many names of one folder are read; then its listing counts as truncated. A folder with millions of
files must not block the guest."""

MOST_LISTED = 60
"""How deep a listing goes. Whoever reads it as nested JSON must be able to."""

GENERATED = frozenset({"dist", "build", "target", "coverage"})
"""Names of closed folders that people also give to what they write. Git has to ignore such a folder."""


class Closed:
    """The folders that are shown and not entered: those of certain names. One whose name is in GENERATED
    counts only if git ignores it. `ignored` has their paths, or is None if git was not asked; then all count,
    and `doubtful` says whether there was one."""

    def __init__(self, names: Iterable[str], ignored: frozenset[str] | None = None) -> None:
        self._names = frozenset(names)
        self._ignored = ignored
        self.doubtful = False

    def holds(self, path: str) -> bool:
        """`path` is relative to the root."""
        path = path.strip("/")
        name = path.rpartition("/")[2]
        if name not in self._names or name not in GENERATED:
            return name in self._names
        self.doubtful = self.doubtful or self._ignored is None
        return self._ignored is None or path in self._ignored


def etag_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def list_folder(root: str, path: str, limit: int, closed: "Closed") -> dict[str, Any]:
    """`entries` of a folder and of the folders in it, breadth first, at most `limit`, and whether the list is
    `truncated`. Folders that are `closed`, or nested too deeply, are listed without their content. Each entry
    is `[parent, name, is_folder, size in bytes, modified (Unix time)]`, where `parent` is the index of its
    folder's entry, or -1."""
    entries: list[list[Any]] = []
    truncated = False
    asked = "/".join(name for name in path.split("/") if name not in ("", "."))
    with Place(root, path) as place:
        kind = place.stat()
        if kind is None:
            raise Refused("missing")
        if not stat.S_ISDIR(kind.st_mode):
            raise Refused("not_folder")
        top = place.open_folder()
    try:
        waiting: deque[tuple[int, str]] = deque([(-1, ".")])
        while waiting:
            parent, below = waiting.popleft()
            found, cut = _entries(top, below, limit - len(entries))
            truncated = truncated or cut
            for name, status in found:
                is_folder = stat.S_ISDIR(status.st_mode)
                if is_folder and below.count("/") + 1 >= MOST_LISTED:
                    truncated = True
                elif is_folder and not closed.holds("/".join([asked, *below.split("/")[1:], name])):
                    waiting.append((len(entries), f"{below}/{name}"))
                entries.append([parent, _shown(name), is_folder, status.st_size, status.st_mtime])
    finally:
        os.close(top)
    return {"entries": entries, "truncated": truncated}


def _entries(top: int, below: str, room: int) -> tuple[list[tuple[str, os.stat_result]], bool]:
    """The first `room` entries, folders first, then by name; and whether there are more."""
    try:
        folder = _descend(top, below)
    except OSError:  # it was removed meanwhile, or replaced by a link
        return [], False
    try:
        with os.scandir(folder) as entries:
            names = [
                (not entry.is_dir(follow_symlinks=False), entry.name)
                for entry in itertools.islice(entries, MAX_NAMES)
            ]
        names.sort()
        found = []
        for _, name in names[:room]:
            with contextlib.suppress(OSError):
                found.append((name, os.stat(name, dir_fd=folder, follow_symlinks=False)))
        return found, len(names) > room or len(names) == MAX_NAMES
    finally:
        os.close(folder)


def _descend(top: int, below: str) -> int:
    folder = os.dup(top)
    for name in below.split("/"):
        try:
            inner = os.open(name, FOLDER, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def _shown(name: str) -> str:
    """The name as text. Bytes that are not UTF-8 are escaped."""
    return os.fsencode(name).decode(errors="backslashreplace")


def describe(status: os.stat_result) -> dict[str, Any]:
    return {"size": status.st_size, "modified": status.st_mtime}


def read_file(root: str, path: str, limit: int) -> tuple[bytes, dict[str, Any]]:
    """A file's content and its size, time and etag. Refused `too_large` beyond `limit` bytes."""
    with Place(root, path) as place, os.fdopen(place.open_file(), "rb") as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise Refused("too_large")
        content = file.read(limit + 1)
        if len(content) > limit:
            raise Refused("too_large")
        return content, {**describe(os.fstat(file.fileno())), "etag": etag_of(content)}


async def read_pieces(root: str, path: str) -> AsyncIterator[bytes]:
    """The content of a file of any size, in pieces. `Refused` is raised at the first piece."""
    with Place(root, path) as place:
        descriptor = place.open_file()
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        while piece := file.read(65_536):
            yield piece
            await asyncio.sleep(0)


def save_file(root: str, path: str, content: bytes, etag: str | None) -> dict[str, Any]:
    """Write a temporary file beside `path` and rename it, so that a reader sees the old content or the new
    content. Missing folders are made. With `etag`, Refused `stale` if the present content has another one."""
    try:
        with Place(root, path, make=True) as place:
            return _replace(place, content, etag)
    except OSError as error:
        raise refusal_of(error) from error
    except Refused as error:
        # Missing folders were made, so a component that is "missing" here is a file where a folder should be.
        raise Refused("not_folder") if error.code == "missing" else error from error


def _replace(place: Place, content: bytes, etag: str | None) -> dict[str, Any]:
    there = place.stat()
    if place.name == "." or (there is not None and not stat.S_ISREG(there.st_mode)):
        raise Refused("not_file")
    if etag is not None and etag != _current_etag(place, there):
        raise Refused("stale")
    mode = stat.S_IMODE(there.st_mode) if there else 0o644
    temporary = f".{os.urandom(8).hex()}.saving"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=place.folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            # No fsync, which would take longer than all the rest. The rename alone protects the file from the
            # death of any process.
            status = os.fstat(file.fileno())
        os.rename(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=place.folder)
        raise
    return {**describe(status), "etag": etag_of(content)}


def _current_etag(place: Place, there: os.stat_result | None) -> str | None:
    if there is None:
        return None
    with os.fdopen(place.open_file(), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def delete_file(root: str, path: str) -> None:
    with Place(root, path) as place:
        status = place.stat()
        if status is None:
            raise Refused("missing")
        if not stat.S_ISREG(status.st_mode):
            raise Refused("not_file")
        try:
            os.unlink(place.name, dir_fd=place.folder)
        except OSError as error:
            raise refusal_of(error) from error
