"""Which profiles the boxes of this process can run, and whether they have a browser. Found out once, in a box
that is then destroyed."""

import asyncio
from uuid import uuid4

import structlog

from app.runtime.guest.page import BROWSERS, WHERE
from app.runtime.runtime import Runtime
from app.runtime.workspace import RuntimeProblem
from workers.profiles.catalogue import PROFILES, Profile

log = structlog.get_logger()

LOOK_S = 60.0
BROWSER = "browser"


class Served:
    """All boxes of a process have the same runtime and image, so one box is enough to find out."""

    def __init__(self) -> None:
        self._found: frozenset[str] | None = None
        self._looking: asyncio.Task[None] | None = None

    def look_ahead(self, runtime: Runtime) -> None:
        """Start to find out in the background, unless it is known."""
        if self._found is None and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look(runtime))

    async def profiles(self, runtime: Runtime) -> list[Profile]:
        """The profiles whose needs are met. If no box could be made, those without needs; the next call tries
        again."""
        met = await self._known(runtime)
        return [profile for profile in PROFILES.values() if not profile.needs or profile.name in met]

    async def browser(self, runtime: Runtime) -> bool:
        """Whether `page` checks can run."""
        return BROWSER in await self._known(runtime)

    async def close(self) -> None:
        """Stop finding out."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _known(self, runtime: Runtime) -> frozenset[str]:
        self.look_ahead(runtime)
        if self._looking is not None:
            await asyncio.shield(self._looking)  # other callers wait for it, too
        return self._found or frozenset()

    async def _look(self, runtime: Runtime) -> None:
        try:
            self._found = await _look(runtime)
        except RuntimeProblem as problem:
            log.warning("profiles.not_looked_up", problem=str(problem))


async def _look(runtime: Runtime) -> frozenset[str]:
    """Raises RuntimeProblem."""
    needs = {profile.name: profile.needs for profile in PROFILES.values() if profile.needs}
    needs[BROWSER] = " || ".join(f"PATH={WHERE} command -v {name}" for name in BROWSERS)
    lines = [f"if ( {line} ) >/dev/null 2>&1; then echo {name}; fi" for name, line in needs.items()]
    nobody = uuid4()
    try:
        workspace = await runtime.attach(nobody, fence=1, create=True)
        try:
            said = await workspace.run("\n".join(lines), timeout_s=LOOK_S)
        finally:
            await workspace.close()
    finally:
        await runtime.destroy(nobody)
    found = frozenset(said.output.split())
    log.info("profiles.looked_up", found=sorted(found))
    return found
