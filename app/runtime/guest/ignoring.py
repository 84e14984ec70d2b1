"""What git ignores in /app, and listings that leave out by it."""

import os
import re
from collections.abc import Iterable
from typing import Any

from . import files
from .box import Box

IGNORED = re.compile(r"(.*?):(\d+):([^\t]*)\t")
"""A line of `git check-ignore -v`: file, line and pattern."""


async def ignored_folders(box: Box) -> frozenset[str] | None:
    """The paths of the folders that git ignores as a whole; None if git cannot say."""
    words = ("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
    if (output := await box.repository.ask(*words)) is None:
        return None
    return frozenset(path[:-1] for path in os.fsdecode(output).split("\0") if path.endswith("/"))


async def ignored_by(box: Box, path: str) -> str:
    """The rule by which git ignores the file at `path`; empty if it does not."""
    output = await box.repository.ask("check-ignore", "-v", "--", path) or b""
    said = IGNORED.match(output.decode(errors="replace"))
    if said is None or said[3].startswith("!"):
        return ""
    ours = said[1].endswith("info/exclude")
    return f"{said[3]} in {'our own list' if ours else f'{said[1]}, line {said[2]}'}"


async def list_folder(box: Box, path: str, limit: int, names: Iterable[str]) -> dict[str, Any]:
    """See `files.list_folder`. Git is asked only if there is a folder of which names alone do not tell."""
    names = frozenset(names)
    closed = files.Closed(names)
    found = files.list_folder(box.config.root, path, limit, closed)
    if closed.doubtful:
        closed = files.Closed(names, await ignored_folders(box))
        found = files.list_folder(box.config.root, path, limit, closed)
    return found
