"""DATA_DIR: which process uses it, at which addresses, and the secrets in it."""

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
"""Seconds to wait for the lock: a process that only checks whether a service runs holds it for a moment."""


@dataclass(frozen=True)
class Running:
    """The content of `run.json`: the process, the API's address, and those of the databases (port 0:
    none)."""

    pid: int = 0
    url: str = ""
    database_url: str = ""
    redis_url: str = ""
    postgres_port: int = 0
    valkey_port: int = 0


class DataDir:
    """The folder of one installation, private to its user (0700). It is made if it is missing."""

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
        """Take the lock of this folder. Raises AlreadyRunning, which says who holds it."""
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
        """The service that runs here now, or None."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            return None if _lock(descriptor, fcntl.LOCK_SH) else self.last()
        finally:
            os.close(descriptor)

    def last(self) -> Running:
        """What the last service here has noted, running or not."""
        try:
            return Running(**json.loads((self.path / "run.json").read_bytes()))
        except (OSError, ValueError, TypeError):
            return Running()

    def note(self, running: Running) -> None:
        """Write `run.json`, with mode 0600 because the addresses contain passwords."""
        _write_private(self.path / "run.json", json.dumps(asdict(running), indent=1))

    def secret(self, name: str) -> str:
        """The random secret in the file `name`, made on first use: 43 URL-safe characters, mode 0600."""
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
    """Write a file completely or not at all, never readable by others."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)
