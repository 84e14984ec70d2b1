"""A job's files: where they are, which paths are allowed, and the manifest of the app."""

import posixpath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.domain.errors import Forbidden, Invalid

ROOT = "/app"
MANIFEST_NAME = "boardroom.json"
MANIFEST = f"{ROOT}/{MANIFEST_NAME}"
MAX_READ_BYTES = 2 * 1024 * 1024
MAX_SAVE_BYTES = 524_288
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4096
LIST_LIMIT = (1, 1000)

NOT_ENTERED = frozenset(
    {
        "node_modules", ".git", "__pycache__", ".venv", "venv", "dist", "build", ".cache", ".next", ".vite",
        ".pytest_cache", ".mypy_cache", ".ruff_cache", "target", "coverage",
    }
)  # fmt: skip
"""Folders whose content a listing does not show and an archive leaves out. Those with names that people also
give to what they write (`dist`, `build`, `target`, `coverage`) only if git ignores them."""

NetworkMode = Literal["none", "install", "open"]
"""When a box has a network: never, for an app's install step, always."""

TEST_FILE = (
    r"(^|/)(tests?|__tests__|specs?|e2e)/"
    r"|(^|/)(test_[^/]*|[^/]*_test|conftest)\.py$"
    r"|[._-](test|spec)\.[cm]?[jt]sx?$"
)
"""Paths of a repository that hold tests."""

STEERS_TESTS = (
    r"(^|/)(package\.json|pyproject\.toml|setup\.cfg|tox\.ini|\.?pytest\.(ini|toml)|conftest\.py|noxfile\.py"
    r"|[Mm]akefile|GNUmakefile|[Jj]ustfile|\.npmrc|\.mocharc[^/]*|(site|user)customize\.py)$"
    r"|(^|/)(vite|vitest|jest|ava|playwright|karma)\.(config|workspace|setup)[^/]*$"
    r"|(^|/)(run[_-]?)?tests?\.\w+$"
    r"|(^|/)(unittest|_?pytest)(\.py$|/)"
    r"|(^|/)node_modules/"
    r"|\.(egg|dist)-info/entry_points\.txt$"
)
"""Paths of files that decide which tests run, how, and what their failure means, or that would be run instead
of a test runner."""


def resolve_path(path: str) -> str:
    """The absolute, normalised form of a client's path: absolute under `/app`, or relative to it.

    Raises Invalid for control characters and names that are too long, Forbidden for a path outside of `/app`.
    Links are not followed here: the guest resolves them in the box.
    """
    if any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in path):
        raise Invalid("The path contains control characters.", code="bad_path")
    encoded = path.encode()
    if len(encoded) > MAX_PATH_BYTES or any(len(part) > MAX_NAME_BYTES for part in encoded.split(b"/")):
        raise Invalid("The path or one of its names is too long.", code="bad_path")
    absolute = posixpath.normpath(posixpath.join(ROOT, path))
    if absolute.startswith("//"):
        absolute = absolute[1:]
    if absolute != ROOT and not absolute.startswith(ROOT + "/"):
        raise Forbidden("The path is outside /app.", code="outside_workspace")
    return absolute


class Manifest(BaseModel):
    """`/app/boardroom.json`: how the app in the workspace is installed, tested, started and recognised.

    Commands are shell lines run in `/app`; `start` must listen on `$PORT`; `health` is a path that answers
    with a status below 500 when the app is up. `install` runs before the start, unless nothing has changed
    since it last did, and once for the checks of a commit; what it makes has to lie below `/app`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    profile: str = Field(default="python-stdlib", max_length=64)
    install: str = Field(default="", max_length=2000)
    test: str = Field(default="", max_length=2000)
    start: str = Field(min_length=1, max_length=2000)
    port: int = Field(default=8000, ge=1024, le=65535)
    health: str = Field(default="/", max_length=500, pattern=r"^/")


BoxState = Literal["none", "created", "running", "asleep", "stopped"]
