"""Makes a .zip of a folder as a stream, without a temporary file."""

import asyncio
import io
import os
import stat
import time
import zipfile
from collections.abc import AsyncIterator, Iterator

from .paths import Place, Refused

MAX_FILES = 100_000
PIECE = 65_536
YEARS = (315_532_800, 4_354_819_198)
"""The range of times in a .zip, 1980 to 2107, as Unix times."""


class _Pipe(io.RawIOBase):
    """The file that `zipfile` writes into. It cannot seek, so `zipfile` writes a stream."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._waiting += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._waiting)
        self._waiting.clear()
        return data


async def zip_pieces(root: str, closed: frozenset[str]) -> AsyncIterator[bytes]:
    """The .zip of the regular files below `root`, in pieces. Links and folders named in `closed` are left
    out."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in _files(root, closed):
            try:
                with Place(root, path) as place, os.fdopen(place.open_file(), "rb") as file:
                    status = os.fstat(file.fileno())
                    changed = min(max(status.st_mtime, YEARS[0]), YEARS[1])
                    shown = os.fsencode(path).decode(errors="backslashreplace")
                    entry = zipfile.ZipInfo(shown, time.gmtime(changed)[:6])
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    entry.external_attr = stat.S_IMODE(status.st_mode) << 16
                    with archive.open(entry, "w", force_zip64=status.st_size > 1 << 30) as member:
                        while piece := file.read(PIECE):
                            member.write(piece)
                            if waiting := pipe.take():
                                yield waiting
                            await asyncio.sleep(0)
            except Refused:  # the file was removed meanwhile
                continue
    yield pipe.take()


def _files(root: str, closed: frozenset[str]) -> Iterator[str]:
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in closed)
        for name in sorted(names):
            path = f"{folder}/{name}"
            if not os.path.islink(path):
                count += 1
                if count > MAX_FILES:
                    return
                yield os.path.relpath(path, root)
