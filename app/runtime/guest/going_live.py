"""How a worker brings the client's app to another commit, and what becomes of the app's data; see `holding`,
`switching` and `data`.

Each function can be repeated: what it does depends on its arguments, not on how far an earlier call came.
"""

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping

from . import caches, checkout, data, holding, switching
from .box import Box
from .checkout import Entry
from .frames import Json
from .paths import Refused

Send = Callable[[bytes], Awaitable[None]]


async def hold(box: Box) -> None:
    """End the app and everything else of the job, and let nothing begin until `release`."""
    await box.hold.begin()
    await box.app.hold()
    await holding.end_everybody()


def release(box: Box) -> None:
    box.app.release()
    box.hold.on = False


async def switch(box: Box, old: str | None, new: str) -> Json:
    """Bring the tracked files from the commit `old` (None for none) to the commit `new`, and the head with
    them. Raises Refused."""
    if not box.hold.on:
        raise Refused("failed", "the app is not held")
    before = await tracked(box, old)
    place = f"{box.config.scratch}/switch"
    try:
        await box.repository.read_out(new, place)
        done = switching.switch(box.config.root, place, before, new)
        await caches.drop(box.config.root)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{place}.shown")
    await box.repository.move_head(new)
    return done


async def set_aside(box: Box, commit: str | None) -> Json:
    """Copy the data aside. All processes of the job stand still meanwhile, so that the copy is what a power
    cut would leave: databases recover from that."""
    there = await tracked(box, commit)
    async with box.still:
        with _standing_still():
            return await data.set_aside(box.config.root, there)


async def read_unused(box: Box, commit: str | None, most: int, send: Send) -> Json:
    """Send the data as an archive while nobody uses the box: processes that an app has left stand still
    meanwhile, and whoever begins to use the box ends this at once. Returns what `set_aside` does. Raises
    Refused `busy`, and `too_large` if the data have more than `most` bytes."""
    from . import data_tar  # noqa: PLC0415 - see `file_calls.zip_all`

    done: Json = {}
    there = await tracked(box, commit)

    async def read() -> None:
        with _standing_still():
            done.update(await data_tar.send_present(box.config.root, there, most, send))

    if box.uses or box.hold.on:
        raise Refused("busy")
    await box.while_unused(read())
    return done


async def put_back(box: Box, commit: str | None) -> Json:
    """Make the data those of the copy that lies aside."""
    there = await tracked(box, commit)
    async with box.still:
        with _standing_still():
            await data.put_back(box.config.root, there)
    return {}


async def tracked(box: Box, commit: str | None) -> Mapping[str, Entry]:
    """The files of a commit, by path; none without one."""
    if commit is None:
        return {}
    place = f"{box.config.scratch}/tracked"
    await box.repository.read_out(commit, place, contents=False)
    return {entry.path: entry for entry in checkout.listed(commit, place)}


@contextlib.contextmanager
def _standing_still() -> Iterator[None]:
    _tell_everybody(signal.SIGSTOP)
    try:
        yield
    finally:
        _tell_everybody(signal.SIGCONT)


def _tell_everybody(number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, number)
