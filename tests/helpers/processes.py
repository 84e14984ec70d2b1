"""The processes of this machine that belong to a test."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def processes_of(folder: Path) -> list[int]:
    """The processes that work in the folder, or have it in their command line or environment."""
    found, name = [], os.fsencode(folder)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            place = os.readlink(entry / "cwd")
        except OSError:
            continue
        if name in words or f"{place}/".startswith(f"{folder}/"):
            found.append(int(entry.name))
    return found


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
