"""Opens a client's path without leaving the root.

Names are opened one at a time, each relative to the descriptor of the one before, and never through a link.
The target of a link is read and walked in the same way, `..` begins again at the root, and an absolute link
is refused. So nothing can be replaced between a check and its use (no TOCTOU race), and two descriptors are
open at a time, however deep it goes.
"""

import contextlib
import errno
import os
import stat
from types import TracebackType

MAX_LINKS = 40
MOST_NESTED = 200
"""How deep the folders are in which a client may save. A job's own may be deeper."""
REPOSITORY = ".git"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """A call failed for a reason that the caller is told. The host knows the codes
    (`app.runtime.answers`)."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def refusal_of(error: OSError) -> Refused:
    """The refusal for an error of the operating system."""
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
    """Where a path leads: the descriptor `folder` and a `name` in it, which was no link when it was read.
    `name` is `"."` for the root itself. A context manager; raises Refused."""

    def __init__(self, root: str, path: str, *, make: bool = False) -> None:
        """`path` is relative to `root`. With `make`, missing folders are made and the root's `.git` is
        refused: for saving."""
        self._root = os.open(root, FOLDER)
        self.folder = os.dup(self._root)
        self._above: list[str] = []
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

    def stat(self) -> os.stat_result | None:
        """The status of `name` itself, not followed if it is a link; None if it does not exist."""
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
        for descriptor in (self._root, self.folder):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._root = self.folder = -1

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
            elif make and name == REPOSITORY and not self._above:
                raise Refused("repository")
            elif make and len(self._above) >= MOST_NESTED:
                raise Refused("bad_name")
            elif left:
                self._enter(name, make)
            else:
                self.name = name

    def _back(self) -> None:
        """Go to the folder above: again from the root, since the kernel's `..` of a folder that was moved
        meanwhile may lead outside."""
        if not self._above:
            raise Refused("outside")
        *above, _ = self._above
        self._go_to(os.dup(self._root))
        self._above.clear()
        for name in above:
            self._enter(name, make=False)

    def _link(self, name: str) -> str | None:
        """The target of a link; None if `name` is no link or does not exist."""
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
        self._go_to(os.open(name, FOLDER, dir_fd=self.folder))
        self._above.append(name)

    def _go_to(self, folder: int) -> None:
        os.close(self.folder)
        self.folder = folder


def _parts(path: str) -> list[str]:
    """The names of a path in reverse order, so that `pop` gives the next one."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
