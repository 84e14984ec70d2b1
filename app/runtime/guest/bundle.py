"""A repository as one piece of bytes, and back: what outlives a lost box.

`git bundle` would leave out the recorded trees, which no commit holds. So: a line `<sha> <ref>` for each ref,
an empty line, and a pack of everything they reach.
"""

import os

from .paths import Refused
from .repository import Repository


async def pack(repository: Repository, limit: int) -> bytes:
    """Nothing for a repository without a commit. Refused `too_large` beyond `limit` bytes."""
    refs = await repository.refs()
    return b"" if not refs else refs.encode() + b"\n\n" + _taken(await repository.pack(), limit)


async def unpack(repository: Repository, scratch: str, content: bytes) -> None:
    """Fill a repository that has no commit yet; leave another as it is."""
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
