"""A commit's files, written by ourselves from objects that are what their names say.

The job's code may edit `.git` like everything else in its box: git would follow its filters and replacements,
and believe an object that was overwritten.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import BinaryIO, NamedTuple

from .paths import Refused

LINK, PROGRAM = "120000", "100755"
PIECE = 1 << 20


class Entry(NamedTuple):
    mode: str
    sha: str
    path: str


def write(commit: str, folder: str) -> None:
    """Write the files of `commit` into the empty `folder`; git's words (`repository.SHOW`) are in files
    beside, which are removed. Raises Refused."""
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
    """The name of what was written."""
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
    """The name of the tree of these, in git's own order and form."""
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
    def place(name: str) -> bytes:
        return os.fsencode(name) + (b"/" if here[name][0] == "40000" else b"")

    return [
        b"%s %s\0%s" % (here[name][0].encode(), os.fsencode(name), here[name][1])
        for name in sorted(here, key=place)
    ]


def _named(kind: bytes, content: bytes, size: int | None = None) -> "hashlib._Hash":
    """The hash that names an object of git's, of which `content` is all or the beginning."""
    head = b"%s %d\0" % (kind, len(content) if size is None else size)
    return hashlib.sha1(head + content, usedforsecurity=False)
