"""How our own modules are started as processes."""

import sys


def command_of(module: str, *args: str) -> list[str]:
    """The command for `module`. Nothing is imported from the current folder, which may be a project of the
    user's with an `app` of its own."""
    return [sys.executable, "-P", "-m", module, *args]
