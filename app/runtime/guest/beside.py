"""Writes files, links and folders below a root: each beside its place and renamed, and never through a link.

So whoever reads sees the old one or the new one, and a write that was broken off can be repeated.
"""

import contextlib
import os
import stat
from collections.abc import Iterator

from .paths import FOLDER, Refused

NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Below:
    """The places below a root. Folders are opened one by one, and the last one stays open: going from path to
    path in the order of a walk opens each folder once, however deep it is. Nobody else may move folders
    meanwhile. With `make`, what is no folder in the place of one is removed, and missing folders are made."""

    def __init__(self, root: str, *, make: bool = False) -> None:
        self._make = make
        self._above: list[str] = []
        self.folder = os.open(root, FOLDER & ~os.O_NOFOLLOW)

    def __enter__(self) -> "Below":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.folder)

    def at(self, path: str) -> str:
        """Go to the folder that holds `path`; returns its name there. Raises OSError."""
        *above, name = path.split("/")
        same = 0
        while same < min(len(above), len(self._above)) and above[same] == self._above[same]:
            same += 1
        while len(self._above) > same:
            self._move("..")
            self._above.pop()
        for part in above[same:]:
            if self._make:
                _make_folder(self.folder, part)
            self._move(part)
            self._above.append(part)
        return name

    def _move(self, name: str) -> None:
        inner = os.open(name, FOLDER, dir_fd=self.folder)
        os.close(self.folder)
        self.folder = inner

    @contextlib.contextmanager
    def beside(self, path: str) -> Iterator[str]:
        """A new name in the folder that holds `path`, which becomes `path` afterwards. Raises Refused
        `in_the_way` if a folder that is not empty is in its place."""
        name = self.at(path)
        new = f".{os.urandom(8).hex()}.saving"
        try:
            yield new
            _make_way(self.folder, name)
            os.rename(new, name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new, dir_fd=self.folder)
            raise

    @contextlib.contextmanager
    def new_file(self, path: str, mode: int, mtime: float) -> Iterator[int]:
        """A descriptor to write the content of the file at `path` to. `mtime` is in seconds."""
        with self.beside(path) as new:
            descriptor = os.open(new, NEW_FILE, 0o600, dir_fd=self.folder)
            try:
                yield descriptor
                os.fchmod(descriptor, mode & 0o777)
                os.utime(descriptor, (mtime, mtime))
            finally:
                os.close(descriptor)

    def make_link(self, path: str, target: str) -> None:
        with self.beside(path) as new:
            os.symlink(target, new, dir_fd=self.folder)

    def make_folder(self, path: str, mode: int) -> None:
        name = self.at(path)
        _make_folder(self.folder, name)
        os.chmod(name, mode & 0o777 | 0o700, dir_fd=self.folder)


def _make_folder(folder: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return
        os.unlink(name, dir_fd=folder)
    os.mkdir(name, 0o755, dir_fd=folder)


def _make_way(folder: int, name: str) -> None:
    """Remove an empty folder in the place of a file."""
    try:
        os.rmdir(name, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise Refused("in_the_way", os.fsencode(name).decode(errors="backslashreplace")) from error
