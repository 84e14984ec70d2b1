"""How a worker brings the client's app to another commit; see `holding` and `switching`.

Each function can be repeated: what it does depends on its arguments, not on how far an earlier call came.
"""

import contextlib
import os

from . import holding, switching
from .box import Box
from .frames import Json
from .paths import Refused


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
    place = f"{box.config.scratch}/switch"
    try:
        if old is not None:
            await box.repository.read_out(old, f"{place}.old")
        await box.repository.read_out(new, place)
        done = switching.switch(box.config.root, place, old, new)
    finally:
        for path in (f"{place}.old.shown", f"{place}.shown"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    await box.repository.move_head(new)
    return done
