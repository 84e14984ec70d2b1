"""Brings the files of /app from one commit to another, while the app is held, and leaves the app's
data alone.

Data is what git does not track, and a tracked file that the app has changed and the new commit leaves as it
was. Where both have changed a file, the commit's version counts. A file that runs is always the commit's.
"""

import contextlib
import os
import re
import stat
from collections.abc import Mapping
from typing import BinaryIO

from . import checkout
from .beside import Below
from .checkout import LINK, PROGRAM, Entry
from .frames import Json
from .paths import Refused

MOST_NAMED = 200
"""The most paths that are named in an answer."""

RUNS = re.compile(
    r"\.(py[cdiw]?|so|js|mjs|cjs|jsx|ts|mts|cts|tsx|vue|svelte|astro|html?|css|scss|less|sh|bash|rb|pl|php|go|rs"
    r"|wasm|jar|toml|ini|cfg|lock)$"
    r"|(^|/)(package(-lock)?|boardroom|tsconfig[^/]*|jsconfig|composer)\.json$"
    r"|(^|/)(requirements[^/]*\.txt|[Mm]akefile|Procfile|Dockerfile|\.npmrc)$"
)
"""Paths of files that are code, or that say how code runs."""


def switch(root: str, place: str, before: Mapping[str, Entry], new: str) -> Json:
    """Change the files below `root` from those of a commit, `before`, to those of the commit `new`, which
    were written beside `place` (see `repository.read_out`). Each file is written beside its place and
    renamed, so that the call can be repeated after it was broken off anywhere.

    `kept` are the untracked files of the app where the new commit has files of these names, `replaced` the
    files that the app had changed and that are now the commit's. Raises Refused.
    """
    after = checkout.listed(new, place)
    kept, replaced = list[str](), list[str]()
    with open(f"{place}.shown", "rb") as objects:
        for entry in after:
            size = checkout.size_of(objects, entry)
            there, was = _hash_at(root, entry), before.get(entry.path)
            if there == entry.sha:
                pass
            elif _is_data(entry, was, there):
                if was is None:
                    kept.append(entry.path)
            else:
                if there is not None and (was is None or there != was.sha):
                    replaced.append(entry.path)
                _put(root, entry, objects, size)
                continue
            checkout.pass_over(objects, size)
    now = {entry.path for entry in after}
    for path, was in before.items():
        if path not in now and (there := _hash_at(root, was)) is not None:
            if there != was.sha:
                replaced.append(path)
            _remove(root, path)
    return {"kept": kept[:MOST_NAMED], "replaced": replaced[:MOST_NAMED]}


def _is_data(entry: Entry, was: Entry | None, there: str | None) -> bool:
    """Whether the file at the place of `entry` is the app's data. `there` is its hash, None if there is no
    file; `was` is its entry in the commit before."""
    if RUNS.search(entry.path) or entry.mode in (PROGRAM, LINK):
        return False
    if was is None:
        return there is not None
    return was.sha == entry.sha


def _hash_at(root: str, entry: Entry) -> str | None:
    """The git hash of what is at the place of `entry`, `-` if that is neither a file nor a link;
    None if there is nothing."""
    with Below(root) as below:
        try:
            name = below.at(entry.path)
            status = os.stat(name, dir_fd=below.folder, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                return checkout.hash_of(os.fsencode(os.readlink(name, dir_fd=below.folder)))
            if not stat.S_ISREG(status.st_mode):
                return "-"
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=below.folder)
        except (FileNotFoundError, NotADirectoryError):
            return None
    with os.fdopen(descriptor, "rb") as file:
        return checkout.hash_of_file(file, status.st_size)


def _put(root: str, entry: Entry, objects: BinaryIO, size: int) -> None:
    with Below(root, make=True) as below, below.beside(entry.path) as new:
        if checkout.write_one(new, entry.mode, objects, size, below.folder) != entry.sha:
            raise Refused("git", f"{entry.path} is not what its name in the history says")
        objects.readline()


def _remove(root: str, path: str) -> None:
    """Remove a file, and the folders that are empty after it."""
    with Below(root) as below:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
            os.unlink(below.at(path), dir_fd=below.folder)
        while path := path.rpartition("/")[0]:
            try:
                os.rmdir(below.at(path), dir_fd=below.folder)
            except OSError:
                return
