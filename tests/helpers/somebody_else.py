"""A marker for tests that change to another user. Root can, except in a user namespace without other
users."""

import os
from pathlib import Path

import pytest

NOBODY = 65534


def _exists(user: int) -> bool:
    ranges = (map(int, line.split()) for line in Path("/proc/self/uid_map").read_text().splitlines())
    return any(first <= user < first + count for first, _, count in ranges)


as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not _exists(NOBODY), reason="only root can become somebody else"
)
