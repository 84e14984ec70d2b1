"""The app in the workspace: installs and starts it, starts it again when it crashes, and knows its state."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .holding import terminate
from .installing import Gate
from .output import Output
from .process import Command, ending
from .web import answers, free_port

LOG_BYTES = 8192
START_WAIT_S = 20.0
MAX_RESTARTS = 3
STEADY_S = 60.0
"""An app that ran for so many seconds gets all its restarts back."""

Starter = Callable[[str, Mapping[str, str], Callable[[bytes], None]], Command]
"""Starts a command in the workspace, given its shell line, extra environment and output sink."""

Installer = Callable[[str, Gate], Awaitable[tuple[int | None, bytes]]]
"""Runs an install step in the workspace, unless nothing has changed since its last run: (exit code,
output)."""


@dataclass(frozen=True)
class Recipe:
    """How the app is installed and started: the manifest's shell lines, the wished port, the health path."""

    install: str
    start: str
    port: int
    health: str


class Application:
    """The one app of a box. It goes on when the process that had it started detaches."""

    def __init__(self, start: Starter, install: Installer, clean: Callable[[], Awaitable[None]]) -> None:
        """`clean` removes what must not be loaded from the workspace."""
        self._start = start
        self._install = install
        self._clean = clean
        self._recipe: Recipe | None = None
        self._command: Command | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._log = Output(LOG_BYTES)
        self._port = 0
        self._began: float | None = None
        self._held_since: float | None = None
        self._installed = 0.0
        self._answered = False
        self._restarts = 0
        self._exit_code: int | None = None

    async def start(self, recipe: Recipe, gate: Gate) -> None:
        """Start the app, unless it runs by this recipe already. Returns when it answers, when it has died for
        good, or 20 s after its install step, whichever is first."""
        if self._recipe != recipe or self._keeper is None or self._keeper.done():
            await self.stop()
            self._recipe = recipe
            self._restarts, self._exit_code = 0, None
            self._began = self._held_since or time.time()
            self._installed = math.inf
            self._keeper = asyncio.create_task(self._install_and_keep(recipe, gate))
        called = time.monotonic()
        while (
            not self._answered
            and not self._keeper.done()
            and time.monotonic() < max(called, self._installed) + START_WAIT_S
        ):
            await asyncio.wait([self._keeper], timeout=0.02)

    async def stop(self) -> None:
        keeper, self._keeper, self._recipe = self._keeper, None, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        if self._command is not None:
            await ending(self._command)
            self._command = None
        self._answered, self._began = False, None

    async def hold(self) -> None:
        """End the app, with time to finish. Until `release` each start counts as the one before, so that
        addresses of previews stay valid."""
        self._held_since = self._began or self._held_since
        if self._keeper is not None:
            self._keeper.cancel()  # or it would start the app again
        if self._command is not None:
            await terminate(self._command)
        await self.stop()

    def release(self) -> None:
        self._held_since = None

    @property
    def port(self) -> int | None:
        return self._port if self._recipe is not None else None

    @property
    def answers_since(self) -> float | None:
        """When the app was started (Unix time), if it answers now; otherwise None."""
        return self._began if self._answered else None

    def status(self) -> dict[str, Any]:
        """The answer of the call `app_status`. `began` is when `start` was called (Unix time); a restart
        after a crash does not change it."""
        state = "none"
        if self._keeper is not None:
            state = "died" if self._keeper.done() else "answering" if self._answered else "starting"
        return {
            "state": state,
            "port": self.port,
            "began": self._began or self._held_since,
            "restarts": self._restarts,
            "exit_code": self._exit_code,
            "log_tail": self._log.text.decode(errors="replace") if self._recipe is not None else "",
        }

    async def _install_and_keep(self, recipe: Recipe, gate: Gate) -> None:
        await self._clean()
        if recipe.install:
            self._log = Output(LOG_BYTES)
            self._exit_code, said = await self._install(recipe.install, gate)
            if self._exit_code != 0:
                self._log.add(said + b"\nThe install step failed.")
                return
        self._installed = time.monotonic()
        await self._keep(recipe)

    async def _keep(self, recipe: Recipe) -> None:
        while True:
            self._log = Output(LOG_BYTES)
            self._port = free_port(recipe.port)
            began = time.monotonic()
            command = self._command = self._start(recipe.start, {"PORT": str(self._port)}, self._log.add)
            self._answered = await answers(command, self._port, recipe.health, START_WAIT_S)
            ended = await asyncio.shield(command.over)
            self._answered, self._exit_code = False, ended.exit_code
            if time.monotonic() - began > STEADY_S:
                self._restarts = 0
            if self._restarts == MAX_RESTARTS:
                return
            self._restarts += 1
            await asyncio.sleep(0.2 * 2**self._restarts)
