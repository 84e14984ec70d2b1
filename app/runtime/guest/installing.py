"""The manifest's install step: run with the host's leave, and not again where nothing has changed.

What it made of a commit is kept as one archive beside the digest of it, which only the guest's own memory
holds: each check gets a copy, and what a check does to its copy, or to the archive, reaches no other.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping

from .files import delete_file, read_file, save_file
from .frames import Json
from .link import Stream
from .paths import Refused
from .record import Record
from .watch import folder_bytes

BEGINS, IS_OVER = b"+", b"-"
INSTALL_S = 300.0
PACK_S = 60.0
TOLD_BYTES = 8192
KEPT_BYTES = 512 * 1024 * 1024
MARK = "boardroom.installed"

Runner = Callable[[list[str], Mapping[str, str], str, float], Awaitable[tuple[int | None, bytes]]]
"""Runs (argv, extra environment, folder, deadline): (exit code, output)."""

PACK = 'tar -cf "$1" -C "$2" . && sha256sum < "$1" | cut -c -64'
UNPACK = 'test "$(sha256sum < "$1" | cut -c -64)" = "$3" && tar -xf "$1" -C "$2"'


class Gate:
    """Around an install step: the host says when it may begin, having given the box a network, and when the
    call may go on, having taken it away. Without a stream nobody is asked."""

    def __init__(self, stream: Stream | None) -> None:
        self._stream = stream
        self.within = False

    async def __aenter__(self) -> None:
        self.within = True
        await self._ask(BEGINS)

    async def __aexit__(self, kind: object, *_: object) -> None:
        # A call that was given up is not answered any more.
        if kind is None:
            await self.leave()

    async def leave(self) -> None:
        """Nothing is installed from here on; harmless when that was said."""
        await self._ask(IS_OVER)
        self._stream, self.within = None, False

    async def _ask(self, what: bytes) -> None:
        if self._stream is not None:
            await self._stream.send(what)
            if not await self._stream.read():
                raise Refused("failed", "the caller gave no leave")


def gate_of(stream: Stream, args: Json) -> Gate:
    return Gate(stream if args["gated"] else None)


class _Kept(Record):
    path: str
    digest: str
    size: float


class Installations:
    """Of one box; one step runs at a time, since they share the box's network."""

    def __init__(self, scratch: str, run: Runner) -> None:
        self.folder = f"{scratch}/kept"
        self._run = run
        self._one_at_a_time = asyncio.Lock()
        self._kept: dict[tuple[str, ...], _Kept] = {}
        self._count = 0

    @property
    def archives(self) -> set[str]:
        """The paths of what is kept."""
        return {kept.path for kept in self._kept.values()}

    async def install(
        self, line: str, env: Mapping[str, str], folder: str, gate: Gate
    ) -> tuple[int | None, bytes]:
        """Run the step: (exit code, the end of its output)."""
        async with self._one_at_a_time, gate:
            code, output = await self._run(["/bin/sh", "-c", line], env, folder, INSTALL_S)
            return code, output[-TOLD_BYTES:]

    async def lay_out(self, place: str, *key: str) -> bool:
        """Fill the empty folder with what is kept under `key` and `place`; whether there is such a thing.
        (Programs write down where they were installed.)"""
        kept = self._kept.get((place, *key))
        if kept is None:
            return False
        if await self._shell(UNPACK, kept.path, place, kept.digest) is not None:
            return True
        self._forget((place, *key))
        await self._run(["find", place, "-mindepth", "1", "-delete"], {}, "/", PACK_S)
        return False

    async def keep(self, place: str, *key: str) -> None:
        """Keep what is in the folder, if it is not too large, instead of what was kept first."""
        size = await folder_bytes(place)
        if size > KEPT_BYTES // 2:
            return
        self._count += 1
        os.makedirs(self.folder, exist_ok=True)
        path = f"{self.folder}/{self._count}.tar"
        digest = None
        try:
            digest = await self._shell(PACK, path, place)
        finally:
            if digest is None:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
        if digest is not None:
            self._kept[(place, *key)] = _Kept(path, digest, size)
        while sum(kept.size for kept in self._kept.values()) > KEPT_BYTES:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: tuple[str, ...]) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._kept.pop(key).path)

    async def _shell(self, script: str, *args: str) -> str | None:
        """What it said; None when it failed."""
        code, output = await self._run(["/bin/sh", "-c", script, "sh", *args], {}, "/", PACK_S)
        return output.decode(errors="replace").strip() if code == 0 else None


class Mark:
    """In the workspace's repository, what was there when its own install step was last done. The job may
    write there too, so it is read and written as carefully as any other file."""

    def __init__(self, root: str, line: str) -> None:
        self._root = f"{root}/.git"
        self._line = line

    def holds(self, tree: str) -> bool:
        with contextlib.suppress(Refused, OSError):
            return read_file(self._root, MARK, len(self._said(tree)))[0] == self._said(tree)
        return False

    def set(self, tree: str) -> None:
        save_file(self._root, MARK, self._said(tree), None)

    def clear(self) -> None:
        with contextlib.suppress(Refused, OSError):
            delete_file(self._root, MARK)

    def _said(self, tree: str) -> bytes:
        return hashlib.sha256(f"{tree} {self._line}".encode()).hexdigest().encode()
