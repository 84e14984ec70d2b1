"""The part of a child's environment that is known only when the databases run. A child is started before and
loads its libraries meanwhile."""

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

VARIABLE = "BOARDROOM_WAITS"
"""Is set in the environment of a child that is to wait for the rest of it."""


def tell(stdin: IO[bytes], environment: Mapping[str, str]) -> None:
    """Give the rest to a child that waits. One that has ended meanwhile needs none."""
    with suppress(BrokenPipeError):
        stdin.write(json.dumps(dict(environment)).encode() + b"\n")
        stdin.flush()
    with suppress(BrokenPipeError):
        stdin.close()


def await_environment() -> None:
    """Wait for the rest of the environment, if there is one. Call it in a child's `main` before settings are
    read. Raises SystemExit if the supervisor has ended."""
    if not os.environ.pop(VARIABLE, ""):
        return
    line = sys.stdin.readline()
    if not line:
        raise SystemExit(1)
    os.environ.update(json.loads(line))
