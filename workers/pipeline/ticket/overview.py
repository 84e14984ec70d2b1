"""What is in the repository, for those who are to find their way in it: its files, and what they define."""

import shlex
from itertools import groupby

from app.runtime.workspace import Workspace

OUTLINE_LINES, OUTLINE_WIDTH = 150, 120
"""How many lines of how many characters the outline of the repository has at most."""

MOST_FILES = 1000
"""How many paths of the repository are shown."""

_GIT = "git -c safe.directory='*' -c core.quotePath=off -C /app"
GREP = f"{_GIT} grep --untracked -nI"
"""Searches what git does not ignore."""

_DEFINES = r"^(export .|(async )?(def|function) |class |@[a-z]+\.(get|post|put|patch|delete)\()"


async def files(workspace: Workspace) -> list[str]:
    """The paths of the repository's files, relative to /app, at most MOST_FILES. What git ignores is no file
    of it."""
    await workspace.head()  # so that there is a repository
    listed = f"{_GIT} ls-files --cached --others --exclude-standard --deduplicate | head -n {MOST_FILES}"
    result = await workspace.run(
        f"{listed}; echo; {_GIT} ls-files --deleted", timeout_s=20, output_limit=MOST_FILES * 200
    )
    there, _, gone = result.output.partition("\n\n")
    return sorted(set(there.splitlines()) - set(gone.splitlines()))


async def outline(workspace: Workspace) -> str:
    """The lines of Python and JavaScript files that define something: after each path its `line:text`."""
    kinds = " ".join(f"'*.{kind}'" for kind in ("py", "js", "mjs", "cjs", "ts", "jsx", "tsx"))
    await workspace.head()  # so that there is a repository
    line = f"{GREP} -E -e {shlex.quote(_DEFINES)} -- {kinds} | sort -t: -k1,1 -k2,2n"
    result = await workspace.run(
        f"{line} | cut -c1-{OUTLINE_WIDTH} | head -n {OUTLINE_LINES}",
        timeout_s=20,
        output_limit=OUTLINE_LINES * OUTLINE_WIDTH,
    )
    return _by_file(result.output.strip())


def _by_file(found: str) -> str:
    """`path:line:text` with each path once, as a line of its own before its `line:text`."""
    lines: list[str] = []
    for path, group in groupby(found.splitlines(), lambda line: line.partition(":")[0]):
        lines += [path, *(line.removeprefix(f"{path}:") for line in group)]
    return "\n".join(lines)
