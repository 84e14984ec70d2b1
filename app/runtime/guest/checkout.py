"""Writes a commit's files, and verifies the hash of each object on the way.

The job's code can edit `.git` like everything else in its box. `git checkout` would apply filters and
replacements that it set up there, and would use an object that it has overwritten.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import BinaryIO, NamedTuple

from .paths import Refused

LINK, PROGRAM = "120000", "100755"
PIECE = 1 << 20


class Entry(NamedTuple):
    """A file or link in a commit; `path` is relative to the top."""

    mode: str
    sha: str
    path: str


def write(commit: str, folder: str) -> None:
    """Write the files of `commit` into the empty `folder`. The output of git (`repository.SHOW`) is read from
    files beside the folder, which are removed. Raises Refused."""
    entries = _entries(commit, _taken(f"{folder}.commit"), _taken(f"{folder}.listed"))
    with open(f"{folder}.shown", "rb") as objects:
        for entry in entries:
            head = objects.readline().split()
            if len(head) != 3:  # "<sha> missing"
                raise Refused("git", f"{entry.path} is missing in the history")
            path = f"{folder}/{entry.path}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if _write_one(path, entry.mode, objects, int(head[2])) != entry.sha:
                raise Refused("git", f"{entry.path} is not what its name in the history says")
            objects.readline()
    os.unlink(f"{folder}.shown")


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


def _write_one(path: str, mode: str, objects: BinaryIO, size: int) -> str:
    """Write one file or link of `size` bytes from `objects`, and return its git hash."""
    if mode == LINK:
        target = objects.read(size)
        os.symlink(target, path)
        return _named(b"blob", target).hexdigest()
    found = _named(b"blob", b"", size)
    with open(path, "xb") as file:
        while size:
            piece = objects.read(min(size, PIECE))
            size -= len(piece) or size
            found.update(piece)
            file.write(piece)
    if mode == PROGRAM:
        os.chmod(path, 0o755)  # noqa: S103 - as git does
    return found.hexdigest()


def _tree(entries: Sequence[Entry]) -> bytes:
    """The hash of git's tree object for these entries, 20 bytes."""
    here: dict[str, tuple[str, bytes]] = {}
    below: dict[str, list[Entry]] = {}
    for entry in entries:
        name, inside, rest = entry.path.partition("/")
        if inside:
            below.setdefault(name, []).append(entry._replace(path=rest))
        else:
            here[name] = (entry.mode, bytes.fromhex(entry.sha))
    here |= {name: ("40000", _tree(inner)) for name, inner in below.items()}
    return _named(b"tree", b"".join(_lines(here))).digest()


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
