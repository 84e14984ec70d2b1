"""Removes compiled files and caches that need not belong to the sources beside them.

Python loads a compiled file without a look at its source if the file says so, or if size and time match. So
whoever once wrote one decides what runs, whatever is committed or checked.
"""

import contextlib
import os

from .walk import breathe, remove

COMPILED = (".pyc", ".pyo")
COMPILED_FOLDER = "__pycache__"
CACHES = frozenset({".cache", ".next", ".vite", ".pytest_cache", ".mypy_cache", ".ruff_cache"})
"""Folders in which tools keep what they have made of the sources."""

NOT_ENTERED = frozenset({".git", "node_modules", "site-packages", "dist-packages", ".venv", "venv"})
"""What the install step has made has its own compiled files. Such folders are not committed (see
`hiding`)."""

NOT_RECORDED = (f":(exclude,glob)**/{COMPILED_FOLDER}/**", *(f":(exclude,glob)**/*{end}" for end in COMPILED))
"""Compiled files as what git is told to leave out, whatever the job's own settings say."""


async def drop(root: str, *, every: bool = False) -> bool:
    """Remove compiled files below `root`; with `every` also `CACHES`: returns whether there were any of
    these. Links in their places are removed, not followed."""
    waiting, looked, found = [root], 0, False
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                is_cache = every and entry.name in CACHES
                if is_cache or entry.name == COMPILED_FOLDER or entry.name.endswith(COMPILED):
                    found = found or is_cache
                    with contextlib.suppress(OSError):  # its owner may write there meanwhile
                        await _remove(entry)
                elif entry.is_dir(follow_symlinks=False) and entry.name not in NOT_ENTERED:
                    waiting.append(entry.path)
                looked += 1
                await breathe(looked)
    return found


async def _remove(entry: "os.DirEntry[str]") -> None:
    if entry.is_dir(follow_symlinks=False):
        await remove(entry.path)
    else:
        os.unlink(entry.path)
