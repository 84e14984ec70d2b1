"""Empties the box of a trial, so that the next check meets nothing of the one before.

What is left over a moment later is an answer, too: the caller then throws the box away. Kernel keys and POSIX
message queues need no emptying, because no command can make them (`confine`, `process.Limits`).
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import Iterator

from . import holding
from .box import SHARED, Box
from .call import Call
from .frames import Json
from .paths import FOLDER, Refused
from .process import LIBC
from .walk import breathe, emptying

IPC_RMID = 0
OBJECTS = {"shm": "shmctl", "sem": "semctl", "msg": "msgctl"}
"""The kinds of System V objects, as /proc/sysvipc names them, and the calls that remove one."""


async def wipe(call: Call) -> Json:
    """End everybody, remove System V objects, and empty /app, the scratch and the temporary folders. Only the
    archives of installed commits stay, whose digests the guest has. First the files of the commit `keep`, if
    one is given, are kept in memory. Answers which commits need not be learned for the next check. Raises
    Refused `not_clean`."""
    if call.save_as:
        raise Refused("failed", "only a worker may do this")
    if call.args["keep"]:
        place = f"{call.box.config.scratch}/keeping"
        os.mkdir(place)  # nobody of the job's is here: a commit is kept when it was learned
        await call.box.repository.check_out(call.args["keep"], place)
    try:
        async with asyncio.timeout(call.args["within_s"]):
            await _wipe(call.box)
    except TimeoutError:
        raise Refused("not_clean", "it took too long") from None
    except Refused as refused:
        raise Refused("not_clean", refused.detail or refused.code) from refused
    except OSError as error:
        raise Refused("not_clean", str(error)) from error
    return {"kept": call.box.repository.copies.commits}


async def _wipe(box: Box) -> None:
    await box.app.stop()
    await holding.end_everybody()
    _remove_objects()
    scratch, kept = box.config.scratch, box.installations.folder
    for folder in (box.config.root, *SHARED):
        await _empty(folder)
    for name in os.listdir(scratch):
        if f"{scratch}/{name}" != kept:
            await _remove(f"{scratch}/{name}")
    if _is_folder(kept):
        os.chmod(kept, 0o700)
        for name in os.listdir(kept):
            if f"{kept}/{name}" not in box.installations.archives:
                await _remove(f"{kept}/{name}")
        _make_plain(kept)
    if not box.installations.archives:
        await _remove(kept)
    _make_plain(scratch)
    os.mkdir(f"{scratch}/home")


def _remove_objects() -> None:
    """Remove all System V objects, and look again: Refused if one is left."""
    for kind, ident in list(_objects()):
        call = getattr(LIBC, OBJECTS[kind])
        call(ident, 0, IPC_RMID) if kind == "sem" else call(ident, IPC_RMID, None)
    if left := list(_objects()):
        raise Refused("not_clean", f"System V objects are left: {left[:3]}")


def _objects() -> Iterator[tuple[str, int]]:
    for kind in OBJECTS:
        with contextlib.suppress(FileNotFoundError), open(f"/proc/sysvipc/{kind}") as lines:
            next(lines)
            for line in lines:
                yield kind, int(line.split()[1])


async def _empty(folder: str) -> None:
    for place, _ in enumerate(emptying(folder)):
        await breathe(place)
    _make_plain(folder)


async def _remove(path: str) -> None:
    if _is_folder(path):
        os.chmod(path, 0o700)
        await _empty(path)
        os.rmdir(path)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def _is_folder(path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return stat.S_ISDIR(os.lstat(path).st_mode)
    return False


def _make_plain(folder: str) -> None:
    """Take from a folder of ours what could be noted on the folder itself: permissions, attributes, times."""
    descriptor = os.open(folder, FOLDER)
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            return
        with contextlib.suppress(OSError):  # a file system without attributes has none
            for name in os.listxattr(descriptor):
                os.removexattr(descriptor, name)
        os.fchmod(descriptor, 0o755)
        os.utime(descriptor, (0, 0))
    finally:
        os.close(descriptor)
