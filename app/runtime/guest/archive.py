"""Makes a .zip of a folder as a stream, without a temporary file."""

import asyncio
import io
import os
import stat
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from .files import Closed
from .paths import Place, Refused

MAX_FILES = 100_000
PIECE = 65_536
MOST_NAMED = 100
NOTE = "LEFT-OUT.txt"
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


async def zip_pieces(
    root: str, names: Iterable[str], ignored: Callable[[], Awaitable[frozenset[str] | None]]
) -> AsyncIterator[bytes]:
    """The .zip of the regular files below `root`, in pieces, without links and without folders of these
    `names` (see `files.Closed`); `ignored` asks git. If more has to be left out, the last file of the archive
    says what."""
    pipe = _Pipe()
    closed = Closed(names)
    left_out: list[str] = []
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        waiting, count = [""], 0
        while waiting:
            folder = waiting.pop()
            if (found := _entries(root, folder)) is None:
                left_out.append(f"{folder}/ (nested too deeply, or not readable)")
                continue
            folders, files = found
            if count + len(files) > MAX_FILES:
                left_out.append(f"{folder or '.'}/ and all that follows (more than {MAX_FILES} files)")
                break
            count += len(files)
            for path in files:
                async for piece in _member(archive, pipe, root, path):
                    yield piece
            entered = [path for path in folders if not closed.holds(path)]
            if closed.doubtful:
                closed = Closed(names, await ignored())
                entered = [path for path in folders if not closed.holds(path)]
            waiting += reversed(entered)
            await asyncio.sleep(0)
        if left_out:
            said = "\n".join([*left_out[:MOST_NAMED], *(["…"] if len(left_out) > MOST_NAMED else [])])
            archive.writestr(NOTE, f"Left out of this archive:\n{said}\n".encode(errors="backslashreplace"))
    yield pipe.take()


async def _member(archive: zipfile.ZipFile, pipe: _Pipe, root: str, path: str) -> AsyncIterator[bytes]:
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
    except Refused:  # the file was removed meanwhile, or is no regular one
        return


def _entries(root: str, folder: str) -> tuple[list[str], list[str]] | None:
    """The paths of the folders and of the files in a folder, by name; None if it cannot be read."""
    try:
        with os.scandir(f"{root}/{folder}") as entries:
            found = sorted(
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in entries
                if not entry.is_symlink()
            )
    except FileNotFoundError:  # it was removed meanwhile
        return [], []
    except OSError:
        return None
    paths = [(f"{folder}/{name}" if folder else name, is_folder) for name, is_folder in found]
    return [path for path, is_folder in paths if is_folder], [
        path for path, is_folder in paths if not is_folder
    ]
