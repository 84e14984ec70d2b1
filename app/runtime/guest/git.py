"""Runs git on the repository of /app, with settings and an index of our own.

The job's code can edit `.git` like everything else in its box. So hooks, file-system monitors and the job's
settings are switched off.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping

from .git_settings import COMMITTER, CONFIG, DOMAIN, EXCLUDED, HEAD, SETTINGS
from .paths import Refused

TIMEOUT_S = 120.0
LOCKED = re.compile(rb"Unable to create '([^'\n]+\.lock)': File exists")
MOST_LOCKS = 5
"""A command meets one lock after the other: of the index, of HEAD, of its branch, of the packed refs."""

Env = Mapping[str, str] | None
Runner = Callable[[list[str], Mapping[str, str], str, float], Awaitable[tuple[int | None, bytes, bytes]]]
"""Runs a command, given argv, extra environment, folder and deadline in seconds: (exit code, stdout,
stderr)."""


class Git:
    """Git in the folder `root`. A failure raises Refused."""

    def __init__(self, root: str, run: Runner) -> None:
        self._root = root
        self._run = run
        self._lock = asyncio.Lock()

    @property
    def _index(self) -> str:
        return f"{self._root}/.git/boardroom.index"

    async def _ensure(self) -> None:
        if not self._exists() and not self._begin():
            await self._git("init", "--quiet", "--template=")
        self._settle()
        self._exclude()

    def _begin(self) -> bool:
        """Make what `git init` makes, without the time of a process; a trial has a new repository for each
        check. False if anything is there."""
        git = f"{self._root}/.git"
        try:
            os.mkdir(git)
        except FileExistsError:
            return False
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
            os.makedirs(f"{git}/{folder}")
        for name, content in (("config", CONFIG), ("HEAD", HEAD)):
            with open(f"{git}/{name}", "x") as file:
                file.write(content)
        return True

    def _exists(self) -> bool:
        return os.path.exists(f"{self._root}/.git/HEAD")

    def _settle(self) -> None:
        """Replace the repository's settings by ours: others could make git record or restore other contents
        than those of the files."""
        path = f"{self._root}/.git/config"
        with open(path, "r+") as file:
            if file.read() != CONFIG:
                file.seek(0)
                file.truncate()
                file.write(CONFIG)

    def _exclude(self) -> None:
        info = f"{self._root}/.git/info"
        os.makedirs(info, exist_ok=True)
        if not os.path.exists(f"{info}/exclude"):
            with open(f"{info}/exclude", "w") as file:
                file.write(EXCLUDED)

    async def _has(self, name: str) -> bool:
        return (await self._try("cat-file", "-e", name))[0] == 0

    async def _git(self, *args: str, env: Env = None, argv: Iterable[str] = ("git",)) -> str:
        return (await self._raw(*args, env=env, argv=argv)).decode(errors="replace").strip()

    async def _raw(self, *args: str, env: Env = None, argv: Iterable[str] = ("git",)) -> bytes:
        code, output, complaints = await self._try(*args, env=env, argv=argv)
        if code != 0:
            raise Refused("git", f"git {args[0]}: {complaints.decode(errors='replace')[-400:]}")
        return output

    async def _try(
        self, *args: str, env: Mapping[str, str] | None = None, argv: Iterable[str] = ("git",)
    ) -> tuple[int | None, bytes, bytes]:
        """Run git. A lock that it meets is removed and git runs again: no other git of ours works here, so
        whoever made it was killed, or is a git of the job."""
        for _ in range(MOST_LOCKS):
            code, output, complaints = await self._start(*args, env=env, argv=argv)
            lock = LOCKED.search(complaints) if code != 0 else None
            if lock is None or not lock[1].startswith(os.fsencode(f"{self._root}/.git/")):
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(lock[1])
        return code, output, complaints

    async def _start(
        self, *args: str, env: Mapping[str, str] | None, argv: Iterable[str]
    ) -> tuple[int | None, bytes, bytes]:
        settings = {"GIT_CONFIG_COUNT": str(len(SETTINGS))}
        for number, (key, value) in enumerate(SETTINGS.items()):
            settings |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        base = {
            "GIT_DIR": f"{self._root}/.git",
            "GIT_WORK_TREE": self._root,
            "GIT_INDEX_FILE": self._index,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_GRAFT_FILE": "/dev/null",
            "GIT_COMMON_DIR": f"{self._root}/.git",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_COMMITTER_NAME": COMMITTER,
            "GIT_COMMITTER_EMAIL": f"service@{DOMAIN}",
            "LC_ALL": "C",
        }
        return await self._run([*argv, *args], base | settings | dict(env or {}), self._root, TIMEOUT_S)
