"""What the watch of a box ends when the box's disk is full."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.runtime.guest.process import descendants
from app.runtime.guest.watch import Quota, Watch


class Command:
    """What the watch sees of a command."""

    pid = 0

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.limit = ""

    def end(self, limit: str) -> None:
        self.limit = limit
        self.ended.set()


@pytest.mark.may_block  # the guest's own loop walks its folders
async def test_a_full_disk_ends_the_jobs_commands_and_not_the_services(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 100_000)
    theirs: Any = Command()
    ours: Any = Command()
    quota = Quota(memory_bytes=2**40, disk_bytes=50_000, processes=10_000)
    watch = Watch([str(tmp_path)], quota, lambda: [ours, theirs], lambda: [theirs])
    watching = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(10):
            await theirs.ended.wait()
    finally:
        watching.cancel()
    assert (theirs.limit, ours.limit) == ("disk", "")


def test_parents_come_before_their_children_even_in_a_circle() -> None:
    """They are killed in this order: a shell would go on with its next command."""
    assert descendants(1, {8: 17, 17: 1, 3: 8, 40: 2}) == [17, 8, 3]
    assert descendants(1, {8: 17, 17: 8, 1: 8}) == []
    assert descendants(8, {8: 17, 17: 8}) == [17]
