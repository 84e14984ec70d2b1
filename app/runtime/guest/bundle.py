"""Packs a repository into bytes and unpacks it, so that it can be stored outside of the box.

`git bundle` would leave out recorded trees that belong to no commit. So the format is: a line `<sha> <ref>`
for each ref, an empty line, and a git pack of everything that the refs reach.
"""

import os

from .paths import Refused
from .repository import Repository


async def pack(repository: Repository, limit: int) -> bytes:
    """The bundle; empty for a repository without a commit. Raises Refused `too_large` beyond `limit`
    bytes."""
    refs = await repository.refs()
    return b"" if not refs else refs.encode() + b"\n\n" + _taken(await repository.pack(), limit)


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
