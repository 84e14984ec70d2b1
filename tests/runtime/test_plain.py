"""The service's own commands in a box, which run without a supervisor."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.runtime.guest import plain
from app.runtime.guest.process import Command, Ended, Limits, parents

pytestmark = [
    pytest.mark.may_block,  # the guest has one thread and nothing faster to do
    pytest.mark.skipif(not plain.is_possible(), reason="this kernel has no pidfd_open"),
]


@pytest.fixture(params=[True, False], ids=["reaped", "left"])
def reaping(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whoever collects the ended process first: the guest's handler, or the command itself."""
    before = signal.signal(signal.SIGCHLD, plain.reap if request.param else signal.SIG_DFL)
    yield
    signal.signal(signal.SIGCHLD, before)


def begin(script: str, said: bytearray, **more: Any) -> Command:
    env = {"PATH": os.environ["PATH"], "WORD": "hello"}
    given: dict[str, Any] = {
        "cwd": "/",
        "env": env,
        "limits": Limits(file_bytes=4096),
        "sink": said.extend,
    } | more
    return plain.start(["sh", "-c", script], **given)


@pytest.mark.usefixtures("reaping")
async def test_it_has_its_folder_environment_limits_and_end(tmp_path: Path) -> None:
    said, here, ours = bytearray(), os.getcwd(), str(tmp_path / "ours")
    kept = open(ours, "w")  # noqa: SIM115, ASYNC230
    limited = 'while test "$(ulimit -f)" = unlimited; do :; done; ulimit -f'
    show = f"pwd; echo $WORD >&2; {limited}; readlink /proc/$$/fd/*; exit 3"
    command = begin(show, said, cwd=str(tmp_path))
    assert os.getcwd() == here
    kept.close()
    assert await command.over == Ended(3)
    folder, word, blocks, *open_files = said.decode().split("\n")[:-1]
    assert (folder, word, blocks) == (str(tmp_path), "hello", "8")
    assert open_files[0] == "/dev/null"
    assert ours not in open_files


@pytest.mark.usefixtures("reaping")
async def test_a_deadline_ends_all_of_it(tmp_path: Path) -> None:
    said = bytearray()
    command = begin("echo $$; sleep 300 & sleep 300", said, deadline_s=0.3)
    ended = await asyncio.wait_for(command.over, 5)
    assert ended == Ended(None, timed_out=True)
    assert command.pid not in parents().values(), "its children went with it"


@pytest.mark.usefixtures("reaping")
async def test_what_ends_it_is_told() -> None:
    command = begin("sleep 300", bytearray())
    command.end("disk")
    command.end("memory")
    assert await asyncio.wait_for(command.over, 5) == Ended(None, limit="disk")
    command = begin("kill -9 $$", bytearray(), hit=lambda: "memory")
    assert await asyncio.wait_for(command.over, 5) == Ended(137, limit="memory")


@pytest.mark.usefixtures("reaping")
async def test_all_that_it_says_is_heard() -> None:
    said, errors = bytearray(), os.memfd_create("stderr")
    command = begin("seq 40000; echo no >&2", said, stderr=errors)
    assert await command.over == Ended(0)
    assert said.decode().split() == [str(number) for number in range(1, 40001)]
    assert os.pread(errors, 100, 0) == b"no\n"
    os.close(errors)


async def test_one_that_cannot_be_started_leaves_nothing() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="No such file"):
        plain.start(["/nowhere"], cwd="/", env={}, limits=Limits(), sink=lambda _: None)
    assert len(os.listdir("/proc/self/fd")) == before
