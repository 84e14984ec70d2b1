"""How a guest starts: from the package that its image has installed, or from the source that it is sent."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.runtime.attachment import Attachment
from app.runtime.channel import attach
from app.runtime.docker.image import lay_out
from app.runtime.guest.boot import INSTALLED
from app.runtime.guest.box import Config
from app.runtime.packing import VARIABLE, guest_boot, guest_digest, guest_source

PLAIN, OTHER = '"truncated": truncated}', '"truncated": True}'


@asynccontextmanager
async def guest(folder: Path) -> AsyncIterator[Attachment]:
    """An attachment to a new guest. `folder` stands for the folder of installed guests in an image."""
    process = await asyncio.to_thread(start, folder)
    try:
        channel = await attach(*await asyncio.open_unix_connection(folder / "sock"), fence=None)
        yield Attachment(channel, None, lambda _: None)
        await channel.close()
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


def start(folder: Path) -> subprocess.Popen[bytes]:
    for name in ("app", "scratch"):
        (folder / name).mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "sock"))
        listener.listen()
        root, scratch = str(folder / "app"), str(folder / "scratch")
        config = Config(listener.fileno(), 60, 2**40, 2**40, 1000, root=root, scratch=scratch)
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", guest_boot().replace(INSTALLED, str(folder))],
            env={VARIABLE: guest_source(), "BOARDROOM_BOX": json.dumps(vars(config))},
            pass_fds=[listener.fileno()],
        )


def install(folder: Path, name: str) -> None:
    """Install a guest as an image does. To be recognized it is changed: it says that every listing is
    truncated."""
    lay_out(folder, "any")
    package = folder / "guest"
    files = package / "files.py"
    assert PLAIN in files.read_text()
    files.write_text(files.read_text().replace(PLAIN, OTHER))
    (folder / name).mkdir()
    package.rename(folder / name / "guest")


async def test_it_starts_from_the_source_that_it_is_sent(tmp_path: Path) -> None:
    async with guest(tmp_path) as workspace:
        assert not (await workspace.list("/app", 10)).truncated


@pytest.mark.parametrize(("name", "used"), [(guest_digest(), True), ("0123456789abcdef", False)])
async def test_of_the_guests_in_an_image_only_the_same_one_is_used(
    tmp_path: Path, name: str, used: bool
) -> None:
    await asyncio.to_thread(install, tmp_path, name)
    async with guest(tmp_path) as workspace:
        assert (await workspace.list("/app", 10)).truncated is used
