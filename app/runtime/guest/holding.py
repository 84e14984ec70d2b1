"""Holds the app while its files are changed: no request begins, those that run may end, then the app ends.

From the end of the app in `hold` until `release` no client's entry can be acknowledged. So what is copied in
between is whole, and undoing a change loses no entry.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Iterator

from .paths import Refused
from .process import Command, descendants, ending, parents

REQUESTS_S = 10.0
"""Seconds in which running requests may end."""

TERM_S = 10.0
"""Seconds in which the app may end after SIGTERM."""

SURVIVORS_S = 5.0


class Hold:
    """Whether the app is held, and which connections to it are open."""

    def __init__(self) -> None:
        self.on = False
        self._open: dict[asyncio.Task[None], bool] = {}

    async def passing(self, exchange: Awaitable[None], lasting: bool) -> None:
        """Await an exchange with the app, which `begin` may end. A `lasting` one, such as a WebSocket, is not
        waited for. Raises Refused `held`."""
        self.refuse()
        task = asyncio.ensure_future(exchange)
        self._open[task] = lasting
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled() and self.on:
                raise Refused("held") from None
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            raise
        finally:
            del self._open[task]

    def refuse(self) -> None:
        """Raises Refused `held` while the app is held."""
        if self.on:
            raise Refused("held")

    async def begin(self) -> None:
        """Let nothing new begin, and wait until what runs has ended, at most `REQUESTS_S`."""
        self.on = True
        for task in [task for task, lasting in self._open.items() if lasting]:
            task.cancel()
        if self._open:
            await asyncio.wait(list(self._open), timeout=REQUESTS_S)
        left = list(self._open)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def terminate(command: Command) -> None:
    """End a command as a service manager would: SIGTERM for all its processes, then SIGKILL."""
    for pid in descendants(command.pid, parents()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)
    if not command.over.done():
        await asyncio.wait([command.over], timeout=TERM_S)
    await ending(command)


async def end_everybody() -> None:
    """Kill all processes of the job's user, whoever started them. Raises Refused `survivors` if some are left
    after `SURVIVORS_S`."""
    end, pause = time.monotonic() + SURVIVORS_S, 0.001
    while time.monotonic() < end:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        if not list(_others()):
            return
        await asyncio.sleep(pause)  # a supervisor that has reported may not have ended yet
        pause = min(2 * pause, 0.05)
    raise Refused("survivors")


def _others() -> Iterator[int]:
    """Processes of the guest's own user, without the guest. Zombies are none: they cannot write."""
    mine = os.getuid()
    for pid in parents():
        if pid == os.getpid():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{pid}/status", "rb") as file:
            fields = dict(line.split(b":", 1) for line in file if b":" in line)
            if fields[b"State"].split()[0] != b"Z" and int(fields[b"Uid"].split()[0]) == mine:
                yield pid
