"""The local runtime: boxes made with bubblewrap on this machine, as root or as an ordinary user.

Any process of the service may start a box and attach to it; none owns it. A box ends by itself when it was
idle for `idle_s` seconds. The next attachment starts it again with the same files.
"""

import asyncio
import contextlib
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from app.domain.workspace import NetworkMode
from app.runtime.boxes import Box
from app.runtime.channel import Patience
from app.runtime.keeping import Boxes
from app.runtime.local import diagnosis
from app.runtime.local.boxes import BoxLimits, LocalBox
from app.runtime.local.bubblewrap import Tools
from app.runtime.local.threaded import ThreadedBox
from app.runtime.runtime import Diagnosis, Most
from app.runtime.workspace import RuntimeProblem, SandboxUnavailable
from app.runtime.worlds import BoxId, World


class LocalRuntime(Boxes):
    """See `runtime.Runtime`. `folder` contains one folder per job and nothing else."""

    kind = "local"
    network: NetworkMode = "none"
    shared = False

    def __init__(
        self,
        folder: Path,
        *,
        idle_s: float = 900,
        max_boxes: int = 20,
        limits: BoxLimits | None = None,
        patience: Patience | None = None,
        bwrap: str = "",
        python: Path | None = None,
    ) -> None:
        """`python` is the interpreter in boxes, by default the one that our virtual environment was made
        from."""
        super().__init__(max_boxes, patience)
        self._folder = folder.absolute()
        self._limits = limits or BoxLimits(idle_s=idle_s)
        self._search = diagnosis.Search(bwrap, python)
        self._found: Tools | None = None

    async def discard(self, job_id: UUID, world: World, slot: int = 0) -> None:
        if world is World.APP:
            raise ValueError("the app's box goes with its job")
        await asyncio.to_thread(LocalBox(self._folder, BoxId(job_id, world, slot)).remove)

    async def destroy(self, job_id: UUID) -> None:
        await asyncio.to_thread(self._destroy, job_id)

    async def worlds(self) -> frozenset[BoxId]:
        return frozenset(box.id for box in await asyncio.to_thread(self._boxes))

    async def boxes(self) -> frozenset[UUID]:
        return frozenset(await asyncio.to_thread(self._jobs))

    async def rest(self) -> None:
        """Nothing: local boxes end by themselves."""

    async def examine(self) -> Diagnosis:
        found = await asyncio.to_thread(diagnosis.find_tools, self._search)
        if isinstance(found, Diagnosis):
            return found
        job_id = uuid.uuid4()
        began = time.monotonic()
        try:
            workspace = await self.attach(job_id, create=True)
            took = round((time.monotonic() - began) * 1000)
            said = await workspace.run("python3 --version && git --version", timeout_s=20)
            await workspace.close()
        except RuntimeProblem as problem:
            return diagnosis.explain(found, str(problem))
        finally:
            await self.destroy(job_id)
        if said.exit_code != 0:
            return diagnosis.explain(found, said.output)
        inside = ", ".join(said.output.split("\n")).strip(", ")
        limits = self._limits
        in_memory = limits.memory_bytes + found.scratch_bytes + found.tmp_bytes + found.shm_bytes
        most = Most(in_memory, limits.processes, limits.disk_bytes)
        return Diagnosis(self.kind, True, f"{found.bwrap} made a box in {took} ms ({inside})", most=most)

    async def stop_all(self) -> None:
        """End every box, even if a worker is attached."""
        await asyncio.to_thread(self._kill_all)

    async def _box(self, box_id: BoxId) -> Box:
        return ThreadedBox(LocalBox(self._folder, box_id), self._tools, self._limits)

    async def _running(self) -> Sequence[BoxId]:
        return await asyncio.to_thread(lambda: [box.id for box in self._boxes() if box.runs])

    def _tools(self) -> Tools:
        if self._found is None:
            found = diagnosis.find_tools(self._search)
            if isinstance(found, Diagnosis):
                raise SandboxUnavailable(f"{found.detail} {found.remedy}".strip())
            self._found = found
        return self._found

    def _jobs(self) -> list[UUID]:
        jobs = []
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                with contextlib.suppress(ValueError):
                    jobs.append(UUID(name))
        return jobs

    def _boxes(self) -> list[LocalBox]:
        return [box for job_id in self._jobs() for box in LocalBox(self._folder, BoxId(job_id)).family()]

    def _destroy(self, job_id: UUID) -> None:
        LocalBox(self._folder, BoxId(job_id)).remove()

    def _kill_all(self) -> None:
        for box in self._boxes():
            box.kill()
