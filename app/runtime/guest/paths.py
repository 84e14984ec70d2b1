"""From a path of a client to a descriptor, without ever leaving the root.

One name at a time, each opened below the descriptor of the one before and never through a link: what a link
says is read and walked the same way, `..` goes back to the descriptor that was held before, and an absolute
link is refused. There is no moment at which something checked could be swapped for something else.
"""

import contextlib
import errno
import os
import stat
from types import TracebackType

MAX_LINKS = 40
REPOSITORY = ".git"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """The guest's no. `code` is one of the host's table."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def refusal_of(error: OSError) -> Refused:
    """What an operating system's error means to a client."""
    code = {
        errno.ENOENT: "missing",
        errno.ENOTDIR: "missing",
        errno.ELOOP: "outside",
        errno.ENAMETOOLONG: "bad_name",
        errno.EISDIR: "not_file",
        errno.ENXIO: "not_file",
        errno.EACCES: "not_allowed",
        errno.EPERM: "not_allowed",
        errno.ENOSPC: "full",
        errno.EDQUOT: "full",
        errno.EFBIG: "full",
    }.get(error.errno or 0, "failed")
    return Refused(code, error.strerror or "")


class Place:
    """Where a path leads: the descriptor of its real folder and the name in it, which is no link; `name` is
    `"."` for the root itself. Use as a context manager."""

    def __init__(self, root: str, path: str, *, make: bool = False) -> None:
        """`path` is relative to `root`. With `make`, to save there: missing folders on the way are made, and
        the root's own repository is out of bounds."""
        self._folders = [os.open(root, FOLDER)]
        self.name = "."
        try:
            self._walk(path, make)
        except OSError as error:
            self.close()
            raise refusal_of(error) from error
        except Refused:
            self.close()
            raise

    def __enter__(self) -> "Place":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def folder(self) -> int:
        return self._folders[-1]

    def stat(self) -> os.stat_result | None:
        """Of the thing itself; None when there is nothing."""
        with contextlib.suppress(FileNotFoundError):
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        return None

    def open_file(self) -> int:
        """A descriptor to read a regular file. Raises Refused `missing`, `not_file` and the like."""
        try:
            kind = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False).st_mode
            if not stat.S_ISREG(kind):
                raise Refused("not_file")
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(self.name, flags, dir_fd=self.folder)
        except OSError as error:
            raise refusal_of(error) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Refused("not_file")
        return descriptor

    def open_folder(self) -> int:
        try:
            return os.open(self.name, FOLDER, dir_fd=self.folder)
        except NotADirectoryError as error:
            raise Refused("not_folder") from error
        except OSError as error:
            raise refusal_of(error) from error

    def close(self) -> None:
        for descriptor in self._folders:
            os.close(descriptor)
        self._folders.clear()

    def _walk(self, path: str, make: bool) -> None:
        left = _parts(path)
        links = 0
        while left:
            name = left.pop()
            if name == "..":
                self._back()
                continue
            target = self._link(name)
            if target is not None:
                links += 1
                if target.startswith("/") or links > MAX_LINKS:
                    raise Refused("outside")
                left += _parts(target)
            elif make and name == REPOSITORY and len(self._folders) == 1:
                raise Refused("repository")
            elif left:
                self._enter(name, make)
            else:
                self.name = name

    def _back(self) -> None:
        if len(self._folders) == 1:
            raise Refused("outside")
        os.close(self._folders.pop())

    def _link(self, name: str) -> str | None:
        """Where a link points; None for what is no link or not there."""
        try:
            return os.readlink(name, dir_fd=self.folder)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return None
            raise

    def _enter(self, name: str, make: bool) -> None:
        if make:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=self.folder)
        self._folders.append(os.open(name, FOLDER, dir_fd=self.folder))


def _parts(path: str) -> list[str]:
    """Names of a path, the first one last."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
