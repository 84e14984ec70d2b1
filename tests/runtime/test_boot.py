"""How a guest starts: from the source that it is sent, or from the modules that its image has compiled of
it."""

import asyncio
import io
import json
import socket
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.runtime.attachment import Attachment
from app.runtime.channel import attach
from app.runtime.docker.image import lay_out
from app.runtime.guest.boot import CARRIED, LATE
from app.runtime.guest.box import Config
from app.runtime.packing import VARIABLE, guest_boot, guest_digest, guest_modules, guest_source, pack
from app.runtime.workspace import BoxDied
from tests.helpers.waiting import until

TAG = sys.implementation.cache_tag
PLAIN, OTHER = '"truncated": truncated}', '"truncated": True}'


@asynccontextmanager
async def guest(folder: Path, *options: str) -> AsyncIterator[Attachment]:
    """An attachment to a new guest. `folder` stands for the folder with compiled modules in an image; the
    guest's output goes to the file `words`."""
    process = await asyncio.to_thread(start, folder, options)
    try:
        channel = await attach(*await asyncio.open_unix_connection(folder / "sock"), fence=None)
        yield Attachment(channel, None, lambda: None, lambda _: None)
        await channel.close()
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


def start(folder: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
    for name in ("app", "scratch"):
        (folder / name).mkdir()
    with socket.socket(socket.AF_UNIX) as listener, open(folder / "words", "w") as words:
        listener.bind(str(folder / "sock"))
        listener.listen()
        root, scratch = str(folder / "app"), str(folder / "scratch")
        config = Config(listener.fileno(), 60, 2**40, 2**40, 1000, root=root, scratch=scratch)
        return subprocess.Popen(
            [sys.executable, "-I", "-S", *options, "-c", guest_boot().replace(CARRIED, str(folder))],
            env={VARIABLE: guest_source(), "BOARDROOM_BOX": json.dumps(vars(config))},
            pass_fds=[listener.fileno()],
            stderr=words,
        )


def carry(folder: Path, version: str = sys.version) -> Path:
    """Compile a guest into `folder`, as an image does, as if by Python `version`. To be recognized, this
    guest is changed: it says that every listing is truncated."""
    lay_out(folder, "any")
    files = guest_modules()["guest.files"]
    assert PLAIN in files
    modules = {**guest_modules(), "guest.files": files.replace(PLAIN, OTHER)}
    (folder / "guest").write_text(f"any {pack(modules)}")
    program = (folder / "compile.py").read_text().replace("/tmp/", f"{folder}/").replace(CARRIED, str(folder))
    program = program.replace("sys.version,", f"{version!r},")
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)
    return folder / f"{guest_digest()}.{TAG}"


async def test_it_starts_from_the_source_that_it_is_sent(tmp_path: Path) -> None:
    async with guest(tmp_path) as workspace:
        assert not (await workspace.list("/app", 10)).truncated


async def test_it_runs_the_compiled_code_of_the_image(tmp_path: Path) -> None:
    await asyncio.to_thread(carry, tmp_path)
    async with guest(tmp_path) as workspace:
        assert (await workspace.list("/app", 10)).truncated
        # Modules that load late are found, too: the guest's, and those of packages that are compiled in part.
        await workspace.save("a", b"1")
        packed = b"".join([piece async for piece in workspace.archive()])
        assert zipfile.ZipFile(io.BytesIO(packed)).read("a") == b"1"


@pytest.mark.parametrize("name", [f"0123456789abcdef.{TAG}", f"{guest_digest()}.cpython-27"])
async def test_compiled_code_of_another_guest_or_python_is_ignored(tmp_path: Path, name: str) -> None:
    (await asyncio.to_thread(carry, tmp_path)).rename(tmp_path / name)
    async with guest(tmp_path) as workspace:
        assert not (await workspace.list("/app", 10)).truncated


async def test_compiled_code_of_another_build_of_python_is_not_used(tmp_path: Path) -> None:
    await asyncio.to_thread(carry, tmp_path, f"{sys.version} patched")
    async with guest(tmp_path) as workspace:
        assert not (await workspace.list("/app", 10)).truncated


async def test_a_broken_file_of_the_image_is_reported(tmp_path: Path) -> None:
    (tmp_path / f"{guest_digest()}.{TAG}").write_bytes(b"nonsense")
    with pytest.raises((BoxDied, ConnectionError)):
        async with guest(tmp_path):
            pass
    assert "marshal" in (tmp_path / "words").read_text()


async def test_nothing_is_loaded_before_it_is_needed(tmp_path: Path) -> None:
    def loaded() -> set[str]:
        return {line.rpartition("|")[2].strip() for line in (tmp_path / "words").read_text().splitlines()}

    async with guest(tmp_path, "-X", "importtime") as workspace:
        await workspace.list("/app", 10)
        assert {"asyncio", "guest.main", "guest.files"} <= loaded()
        assert not {*LATE, "dataclasses"} & loaded()
        await workspace.save("a", b"1")  # which is followed by a commit

        async def more() -> bool:
            return {"hashlib", "guest.repository"} <= loaded()

        await until(more)


async def test_late_modules_are_the_real_ones_when_they_are_used() -> None:
    """asyncio's logger and threads, and names of `typing` without a stand-in."""
    program = guest_boot().partition("from guest.main")[0] + (
        "import asyncio, logging, typing\n"
        "    asyncio.base_events.logger.error('a complaint')\n"
        "    print(asyncio.run(asyncio.to_thread(logging.getLevelName, 40)), typing.Union[int, str])\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-c", program),
        env={VARIABLE: guest_source()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert await process.communicate() == (b"ERROR typing.Union[int, str]\n", b"a complaint\n")
