"""Writes a commit's files, and verifies the hash of each object on the way.

The job's code can edit `.git` like everything else in its box. `git checkout` would apply filters and
replacements that it set up there, and would use an object that it has overwritten.
"""

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from typing import BinaryIO, NamedTuple

from .beside import Below
from .paths import Refused

LINK, PROGRAM = "120000", "100755"
PIECE = 1 << 20
KEPT_BYTES = 16 << 20
"""How much of commits is kept in memory, in all."""


class Entry(NamedTuple):
    """A file or link in a commit; `path` is relative to the top."""

    mode: str
    sha: str
    path: str


class Copies:
    """Small commits whose files were read, verified and laid out once. They are only in the guest's memory,
    which the job cannot read or write, so each check gets a fresh copy without git."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[list[Entry], bytes]] = {}

    @property
    def commits(self) -> list[str]:
        return list(self._kept)

    def write(self, commit: str, folder: str) -> bool:
        """Write the files of `commit` into the empty `folder`; False if it is not kept."""
        kept = self._kept.get(commit)
        if kept is None:
            return False
        _write(*kept, folder)
        return True

    def find(self, commit: str, path: str) -> tuple[bool, bytes | None]:
        """Whether the commit is kept, and the content of its file or link; None if it has no such one."""
        kept = self._kept.get(commit)
        if kept is None:
            return False, None
        objects = io.BytesIO(kept[1])
        for entry in kept[0]:
            size = size_of(objects, entry)
            if entry.path == path:
                return True, objects.read(size)
            pass_over(objects, size)
        return True, None

    def read(self, commit: str, folder: str) -> None:
        """Write the files of `commit` into the empty `folder`, and keep them. The output of git
        (`scripts.SHOW`) is read from files beside the folder, which are removed. Raises Refused."""
        entries = listed(commit, folder)
        with open(f"{folder}.shown", "rb") as file:
            if os.fstat(file.fileno()).st_size > KEPT_BYTES // 2:
                _write(entries, file, folder)
            else:
                shown = file.read()
                _write(entries, shown, folder)
                self._kept[commit] = (entries, shown)
        while sum(len(shown) for _, shown in self._kept.values()) > KEPT_BYTES:
            del self._kept[next(iter(self._kept))]
        os.unlink(f"{folder}.shown")


def _write(entries: Sequence[Entry], shown: BinaryIO | bytes, folder: str) -> None:
    """Write files with their contents, in that order, as git showed them. Raises Refused."""
    objects = io.BytesIO(shown) if isinstance(shown, bytes) else shown
    with Below(folder, make=True) as below:
        for entry in entries:
            size = size_of(objects, entry)
            if write_one(below.at(entry.path), entry.mode, objects, size, below.folder) != entry.sha:
                raise Refused("git", f"{entry.path} is not what its name in the history says")
            objects.readline()


def listed(commit: str, place: str) -> list[Entry]:
    """The files of `commit`, from git's output beside `place`, in the order of the contents there. Raises
    Refused if they are not what the commit's name says."""
    return _entries(commit, _taken(f"{place}.commit"), _taken(f"{place}.listed"))


def size_of(objects: BinaryIO, entry: Entry) -> int:
    """Read the line before the content of `entry`: its size in bytes."""
    head = objects.readline().split()
    if len(head) != 3:  # "<sha> missing"
        raise Refused("git", f"{entry.path} is missing in the history")
    return int(head[2])


def pass_over(objects: BinaryIO, size: int) -> None:
    """Skip a content and the line's end behind it."""
    objects.seek(size + 1, os.SEEK_CUR)


def _taken(path: str) -> bytes:
    with open(path, "rb") as file:
        content = file.read()
    os.unlink(path)
    return content


def _entries(commit: str, said: bytes, listed: bytes) -> list[Entry]:
    lines = [line.partition("\t") for line in os.fsdecode(listed).split("\0")[:-1]]
    entries = [Entry(about.split()[0], about.split()[2], path) for about, _, path in lines]
    tree = b"tree %s\n" % _tree(entries).hex().encode()
    if _named(b"commit", said).hexdigest() != commit or not said.startswith(tree):
        raise Refused("git", "a commit is not what its name says")
    return entries


def write_one(path: str, mode: str, objects: BinaryIO, size: int, folder: int | None = None) -> str:
    """Write one file or link of `size` bytes from `objects`, and return its git hash. `path` is relative to
    the descriptor `folder`, if there is one."""
    if mode == LINK:
        target = objects.read(size)
        os.symlink(target, path, dir_fd=folder)
        return hash_of(target)
    found = _named(b"blob", b"", size)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=folder)
    with os.fdopen(descriptor, "wb") as file:
        while size:
            piece = objects.read(min(size, PIECE))
            size -= len(piece) or size
            found.update(piece)
            file.write(piece)
        if mode == PROGRAM:
            os.fchmod(file.fileno(), 0o755)  # as git does
    return found.hexdigest()


def hash_of(content: bytes) -> str:
    """The git hash of a file with this content, or of a link with this target."""
    return _named(b"blob", content).hexdigest()


def hash_of_file(file: BinaryIO, size: int) -> str:
    """The git hash of an open file of `size` bytes."""
    found = _named(b"blob", b"", size)
    while piece := file.read(PIECE):
        found.update(piece)
    return found.hexdigest()


def _tree(entries: Sequence[Entry]) -> bytes:
    """The hash of git's tree object for these entries, 20 bytes. Without recursion, for the deepest trees."""
    trees: dict[str, dict[str, tuple[str, bytes]]] = {"": {}}
    for entry in entries:
        above, _, name = entry.path.rpartition("/")
        trees.setdefault(above, {})[name] = (entry.mode, bytes.fromhex(entry.sha))
        while above and above.rpartition("/")[0] not in trees:
            above = above.rpartition("/")[0]
            trees[above] = {}
    for path in sorted(filter(None, trees), key=_depth, reverse=True):
        above, _, name = path.rpartition("/")
        trees[above][name] = ("40000", _named(b"tree", b"".join(_lines(trees.pop(path)))).digest())
    return _named(b"tree", b"".join(_lines(trees[""]))).digest()


def _depth(path: str) -> int:
    return path.count("/")


def _lines(here: Mapping[str, tuple[str, bytes]]) -> list[bytes]:
    """The entries of one tree object, in git's order: a folder is sorted as if its name ended in `/`."""

    def place(name: str) -> bytes:
        return os.fsencode(name) + (b"/" if here[name][0] == "40000" else b"")

    return [
        b"%s %s\0%s" % (here[name][0].encode(), os.fsencode(name), here[name][1])
        for name in sorted(here, key=place)
    ]


def _named(kind: bytes, content: bytes, size: int | None = None) -> "hashlib._Hash":
    """A hash like git's for an object of this kind. `content` is all of the object, or its beginning if
    `size` (bytes of the whole) is given; the caller then adds the rest."""
    head = b"%s %d\0" % (kind, len(content) if size is None else size)
    return hashlib.sha1(head + content, usedforsecurity=False)
