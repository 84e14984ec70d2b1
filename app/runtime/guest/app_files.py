"""Which files in /app the app has written itself: no commit records them, also where git does not ignore
them.

Between two of the Builder's calls, or of a client's saves, nobody but the app writes. So what has changed by
then is the app's: data, not work.
"""

import os
from collections.abc import Iterable


class AppFiles:
    """The paths of such files, relative to the root. A folder stands for all that is in it."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._written: set[str] = set()
        """Files that somebody else has written since the last record."""
        self._news: dict[str, None] = {}
        """The paths of which the Builder has not been told."""

    def add(self, paths: Iterable[str], recorded: Iterable[str]) -> None:
        """Add files. `recorded` are all that the last record holds: a folder without any of them is the app's
        as a whole."""
        folders = {
            "/".join(parts[:n]) for path in recorded for parts in [path.split("/")] for n in range(len(parts))
        }
        for path in set(paths) - self._written:
            parts = path.split("/")
            tops = ("/".join(parts[:n]) for n in range(1, len(parts)))
            path = next((top for top in tops if top not in folders), path)
            self._paths.add(path)
            self._news[path] = None

    def give_up(self, path: str) -> None:
        """Somebody else writes this file now."""
        self._written.add(path)
        parts = path.split("/")
        self._paths -= {"/".join(parts[: n + 1]) for n in range(len(parts))}

    def news(self) -> list[str]:
        """The paths that were added since the last call and are the app's still."""
        news, self._news = [path for path in self._news if path in self._paths], {}
        return news

    def recorded(self) -> None:
        self._written.clear()

    @property
    def pathspecs(self) -> list[str]:
        """Arguments that make git pass the files over."""
        return [f":(exclude,top,literal){path}" for path in sorted(self._paths)]


def changed_paths(raw: bytes) -> list[str]:
    """The paths in the output of `git diff-tree -r -z --name-only`."""
    return [path for path in os.fsdecode(raw).split("\0") if path]
