"""Sends the copy of the data that lies aside as a tar archive, and takes such an archive in.

The archive is POSIX (pax); files with holes are in GNU's sparse format 1.0, which GNU tar and Python read.
"""

import contextlib
import os
import stat
import tarfile
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable

from .beside import Below
from .data import (
    ASIDE,
    INSTALLED,
    PIECE,
    Tracked,
    copy_range,
    extents,
    is_data,
    new_copy,
    open_to_read,
)
from .frames import Json
from .link import Stream
from .paths import Refused
from .walk import Walk, breathe

BLOCK = 512

Visited = tuple[str, str, os.stat_result]
"""What a `Walk` yields."""


async def pieces(root: str) -> AsyncIterator[bytes]:
    """The archive of the copy that lies aside. Raises Refused `missing`."""
    try:
        walk = Walk(f"{root}/{ASIDE}/files")
    except FileNotFoundError as error:
        raise Refused("missing") from error
    async for piece in _archive(walk, walk):
        yield piece


async def send_present(
    root: str, tracked: Tracked, most: int, send: Callable[[bytes], Awaitable[None]]
) -> Json:
    """Send the archive of the data as they are, which nobody may change meanwhile: the same that `pieces`
    gives after `data.set_aside`. Returns how many `entries` and `bytes` (without holes) that were. Raises
    Refused `too_large` before anything is sent if untracked files alone have more than `most` bytes."""
    done = {"entries": 0, "bytes": 0}
    for place, (path, _, status) in enumerate(Walk(root, INSTALLED)):
        if stat.S_ISREG(status.st_mode) and path not in tracked:
            done["bytes"] += min(status.st_size, status.st_blocks * BLOCK)
        await breathe(place)
    if done["bytes"] > most:
        raise Refused("too_large")
    walk = Walk(root, INSTALLED)

    def found() -> Iterable[Visited]:
        for path, name, status in walk:
            if is_data(walk.folder, path, name, status, tracked):
                done["entries"] += 1
                yield path, name, status

    async with contextlib.aclosing(_archive(walk, found())) as archive:
        async for piece in archive:
            await send(piece)
    return done


async def _archive(walk: Walk, members: Iterable[Visited]) -> AsyncGenerator[bytes, None]:
    """The archive of `members` of a walk. Folders and links have no time: that of a folder changes with what
    lies in it, and equal data shall give equal archives."""
    for path, name, status in members:
        info = tarfile.TarInfo(path)
        info.mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            info.type = tarfile.DIRTYPE
            yield _head(info)
        elif stat.S_ISLNK(status.st_mode):
            info.type, info.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=walk.folder)
            yield _head(info)
        else:
            info.mtime = int(status.st_mtime)
            source = open_to_read(walk.folder, name, status)
            try:
                async for piece in _file(info, source, status.st_size):
                    yield piece
            finally:
                os.close(source)
    yield bytes(2 * BLOCK)


async def _file(info: tarfile.TarInfo, source: int, size: int) -> AsyncIterator[bytes]:
    parts = list(extents(source, size))
    is_sparse = sum(length for _, length in parts) < size
    if not is_sparse:
        parts = [(0, size)] if size else []
    listed = b""
    if is_sparse:
        listed = _padded(
            "".join(f"{number}\n" for part in [(len(parts),), *parts] for number in part).encode()
        )
        info.pax_headers = {
            "GNU.sparse.major": "1",
            "GNU.sparse.minor": "0",
            "GNU.sparse.name": info.name,
            "GNU.sparse.realsize": str(size),
        }
    info.size = len(listed) + sum(length for _, length in parts)
    yield _head(info) + listed
    for start, length in parts:
        at = start
        while at < start + length:
            piece = os.pread(source, min(PIECE, start + length - at), at)
            if not piece:
                raise Refused("failed", "a file became shorter while it was read")
            at += len(piece)
            yield piece
    if rest := -info.size % BLOCK:
        yield bytes(rest)


def _head(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % BLOCK)


async def take_in(root: str, stream: Stream) -> Json:
    """Read an archive to its end, and lay it aside in place of an earlier copy. Returns how many `entries`
    and `bytes` (without holes) that were. Raises Refused."""
    async with new_copy(root) as (files, done):
        with tempfile.TemporaryFile(dir=f"{root}/.git") as file:
            while piece := await stream.read():
                file.write(piece)
            file.flush()
            file.seek(0)
            try:
                with tarfile.open(fileobj=file, mode="r:") as members:
                    for place, member in enumerate(members):
                        done["entries"] += 1
                        done["bytes"] += _lay_out(files, member, file.fileno())
                        await breathe(place)
            except (tarfile.TarError, ValueError) as error:
                raise Refused("failed", f"this is no archive of data: {error}") from error
    return done


def _lay_out(files: Below, member: tarfile.TarInfo, archive: int) -> int:
    path = member.name
    if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")) or path == ".git":
        raise ValueError(f"no path of data: {path!r}")
    if member.isdir():
        files.make_folder(path, member.mode)
    elif member.issym():
        files.make_link(path, member.linkname)
    elif member.isfile():
        parts: list[tuple[int, int]] = list(member.sparse or [(0, member.size)])  # type: ignore[arg-type]
        at = member.offset_data
        with files.new_file(path, member.mode, member.mtime) as into:
            for start, length in parts:
                copy_range(archive, at, into, start, length)
                at += length
            os.ftruncate(into, member.size)
        return sum(length for _, length in parts)
    else:
        raise ValueError(f"neither file nor folder nor link: {path!r}")
    return 0
