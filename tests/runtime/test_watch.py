"""Which commands the watch of a box ends when the disk is full, and how it counts files."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.runtime.guest.process import descendants
from app.runtime.guest.watch import Quota, Watch
from app.runtime.workspace import Workspace
from tests.helpers.boxes import output_of


class Command:
    """A command, as far as the watch uses it."""

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
    """They are killed in this order, so that no shell goes on with its next command."""
    assert descendants(1, {8: 17, 17: 1, 3: 8, 40: 2}) == [17, 8, 3]
    assert descendants(1, {8: 17, 17: 8, 1: 8}) == []
    assert descendants(8, {8: 17, 17: 8}) == [17]


async def test_nothing_is_hidden_from_the_limit_of_the_disk(workspace: Workspace) -> None:
    """Neither in a folder without permissions, nor below a path that is too long to be opened."""
    for closed in ("0", "u=r"):  # the folder is made readable, so that its files are counted
        hide = f"mkdir closed && echo seen > closed/file && chmod {closed} closed"
        seen = await output_of(workspace, f"{hide} && until cat closed/file; do sleep 0.1; done 2>&1")
        assert seen.endswith("seen")
        await output_of(workspace, "rm -r closed")
    dig = "for i in $(seq 30); do mkdir {0} && cd -P {0} || exit; done".format("x" * 200)
    done = await workspace.run(f"{dig}; exec sleep 60", timeout_s=60)
    assert "[ended: the disk limit" in done.output
    await output_of(workspace, "rm -r x*")
