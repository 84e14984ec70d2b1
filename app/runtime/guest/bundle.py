"""Packs a repository into bytes and unpacks it, so that it can be stored outside of the box.

`git bundle` would leave out recorded trees that belong to no commit. So the format is: a line `<sha> <ref>`
for each ref, an empty line, and a git pack of everything that the refs reach.
"""

import os
from collections.abc import AsyncIterator

from .link import Stream
from .paths import Refused
from .repository import Repository

PIECE = 65_536


async def pack(repository: Repository, limit: int) -> bytes:
    """The bundle; empty for a repository without a commit. Raises Refused `too_large` beyond `limit`
    bytes."""
    refs = await repository.refs()
    return b"" if not refs else refs.encode() + b"\n\n" + _taken(await repository.pack(), limit)


async def pack_of(repository: Repository, want: str, have: str | None) -> AsyncIterator[bytes]:
    """A pack of what the commit `want` reaches and the commit `have` does not."""
    path = await repository.pack(want, *([] if have is None else [f"^{have}"]))
    try:
        with open(path, "rb") as file:  # noqa: ASYNC230 - the guest has one thread
            while piece := file.read(PIECE):
                yield piece
    finally:
        os.unlink(path)


async def learn(repository: Repository, scratch: str, stream: Stream) -> None:
    """Add the objects of a pack. Raises Refused."""
    path = f"{scratch}/learn.pack"
    try:
        with open(path, "wb") as file:  # noqa: ASYNC230
            while piece := await stream.read():
                file.write(piece)
        await repository.learn(path)
    finally:
        os.unlink(path)


async def unpack(repository: Repository, scratch: str, content: bytes) -> None:
    """Fill a repository from a bundle. One that has a commit is left as it is. Raises Refused."""
    refs, gap, packed = content.partition(b"\n\n")
    if not gap or not packed.startswith(b"PACK"):
        raise Refused("failed", "this is no bundle")
    path = f"{scratch}/bundle.pack"
    _put(path, packed)
    try:
        await repository.fill(path, [line.partition(" ")[::2] for line in refs.decode().splitlines()])
    finally:
        os.unlink(path)


def _taken(path: str, limit: int) -> bytes:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > limit:
                raise Refused("too_large")
            return file.read()
    finally:
        os.unlink(path)


def _put(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
