"""DATA_DIR: who works in it, where, and the secrets kept in it."""

import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from app.embedded.errors import AlreadyRunning, StackProblem, in_words

LOCK_PATIENCE_S = 1.0
"""Who only looks whether somebody runs here holds the lock for a moment."""


@dataclass(frozen=True)
class Running:
    """What `run.json` tells: who works here, the API's address, the stack's (a port of 0: none)."""

    pid: int = 0
    url: str = ""
    database_url: str = ""
    redis_url: str = ""
    postgres_port: int = 0
    valkey_port: int = 0


class DataDir:
    """The folder of one installation, private to its user (0700). Made when missing."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        try:
            if not self.path.is_dir() or not any(self.path.iterdir()):
                self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
                self.path.chmod(0o700)
        except OSError as error:
            raise StackProblem(
                f"DATA_DIR cannot be used: {self.path}: {in_words(error)}. "
                "Set DATA_DIR to a folder of your own."
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one to work here. AlreadyRunning says who does."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            deadline = time.monotonic() + LOCK_PATIENCE_S
            while not _lock(descriptor, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise AlreadyRunning(self._who())
                time.sleep(0.05)
            yield
        finally:
            os.close(descriptor)

    def running(self) -> Running | None:
        """Who works here now, if anybody does."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            return None if _lock(descriptor, fcntl.LOCK_SH) else self.last()
        finally:
            os.close(descriptor)

    def last(self) -> Running:
        """What was noted last, by whoever runs or ran here."""
        try:
            return Running(**json.loads((self.path / "run.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return Running()

    def note(self, running: Running) -> None:
        """Write `run.json`: 0600, because the stack's addresses hold their passwords."""
        _write_private(self.path / "run.json", json.dumps(asdict(running), indent=1))

    def secret(self, name: str) -> str:
        """The random secret kept in the file `name`, made on first use: 43 URL-safe characters, 0600."""
        path = self.path / name
        if not path.exists():
            _write_private(path, secrets.token_urlsafe(32))
        return path.read_text()

    def _who(self) -> str:
        running = self.last()
        where = f" at {running.url}" if running.url else ""
        return (
            f"Boardroom already runs here{where} (process {running.pid}, data in {self.path}).\n"
            f"Use that one, stop it with: kill {running.pid}\n"
            "or give this one its own folder and port: DATA_DIR=… PORT=…"
        )


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, and never readable by others."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
