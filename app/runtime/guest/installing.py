"""The manifest's install step. It runs when the host allows it, and only if something has changed.

The result for a commit is kept as an archive, of which each check gets a copy. The archive's digest is only
in the guest's memory, so a check can change neither another's copy nor, unnoticed, the archive.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from .files import delete_file, read_file, save_file
from .frames import Json
from .link import Stream
from .paths import Refused
from .watch import folder_bytes

BEGINS, IS_OVER = b"+", b"-"
INSTALL_S = 300.0
PACK_S = 60.0
TOLD_BYTES = 8192
KEPT_BYTES = 512 * 1024 * 1024
MARK = "boardroom.installed"

Runner = Callable[[list[str], Mapping[str, str], str, float], Awaitable[tuple[int | None, bytes]]]
"""Runs a command, given argv, extra environment, folder and deadline in seconds: (exit code, output)."""

PACK = 'tar -cf "$1" -C "$2" . && sha256sum < "$1" | cut -c -64'
UNPACK = 'test "$(sha256sum < "$1" | cut -c -64)" = "$3" && tar -xf "$1" -C "$2"'


class Gate:
    """A context around an install step. Before it the guest waits until the host has connected the box to a
    network, and after it until the host has disconnected the box. Without a stream it waits for nothing."""

    def __init__(self, stream: Stream | None) -> None:
        self._stream = stream
        self.within = False

    async def __aenter__(self) -> None:
        self.within = True
        await self._ask(BEGINS)

    async def __aexit__(self, kind: object, *_: object) -> None:
        # After an error or a cancellation the host does not answer on this stream any more.
        if kind is None:
            await self.leave()

    async def leave(self) -> None:
        """Tell the host that nothing more will be installed, and wait for its answer. Does nothing the second
        time."""
        await self._ask(IS_OVER)
        self._stream, self.within = None, False

    async def _ask(self, what: bytes) -> None:
        if self._stream is not None:
            await self._stream.send(what)
            if not await self._stream.read():
                raise Refused("failed", "the caller gave no leave")


def gate_of(stream: Stream, args: Json) -> Gate:
    return Gate(stream if args["gated"] else None)


@dataclass(frozen=True)
class _Kept:
    """An archive; `size` is in bytes, unpacked."""

    path: str
    digest: str
    size: float


class Installations:
    """The install steps of one box. One runs at a time, because they share the box's network."""

    def __init__(self, scratch: str, run: Runner) -> None:
        self.folder = f"{scratch}/kept"
        self._run = run
        self._one_at_a_time = asyncio.Lock()
        self._kept: dict[tuple[str, ...], _Kept] = {}
        self._count = 0

    @property
    def archives(self) -> set[str]:
        """The paths of all archives that are kept."""
        return {kept.path for kept in self._kept.values()}

    async def install(
        self, line: str, env: Mapping[str, str], folder: str, gate: Gate
    ) -> tuple[int | None, bytes]:
        """Run an install step: (exit code, the end of its output)."""
        async with self._one_at_a_time, gate:
            code, output = await self._run(["/bin/sh", "-c", line], env, folder, INSTALL_S)
            return code, output[-TOLD_BYTES:]

    async def lay_out(self, place: str, *key: str) -> bool:
        """Fill the empty folder `place` from the archive for `key`; False if there is none. An archive is
        only used at the place it was made at, because installed programs contain their path."""
        kept = self._kept.get((place, *key))
        if kept is None:
            return False
        if await self._shell(UNPACK, kept.path, place, kept.digest) is not None:
            return True
        self._forget((place, *key))
        await self._run(["find", place, "-mindepth", "1", "-delete"], {}, "/", PACK_S)
        return False

    async def keep(self, place: str, *key: str) -> None:
        """Keep the folder's content as an archive for `key`, unless it is too large. Beyond `KEPT_BYTES` the
        oldest archives are removed."""
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
        """The output of a script; None if it failed."""
        code, output = await self._run(["/bin/sh", "-c", script, "sh", *args], {}, "/", PACK_S)
        return output.decode(errors="replace").strip() if code == 0 else None


class Mark:
    """A file in `.git` that records for which files and which install line the workspace's install step last
    succeeded. The job can write there, too, so this file is handled like any other untrusted one."""

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
