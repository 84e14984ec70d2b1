"""The interface of all boxes: how one is made and reached, put to sleep and removed."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from app.domain.workspace import NetworkMode
from app.runtime.workspace import BoxStatus, Workspace
from app.runtime.worlds import BoxId, World


@dataclass(frozen=True)
class Most:
    """What one box may use. `memory_bytes` includes what lies in temporary folders that are in memory."""

    memory_bytes: int
    processes: int
    disk_bytes: int


@dataclass(frozen=True)
class Diagnosis:
    """Whether boxes can be made here, and what one may use then. `detail` is a sentence about that; `remedy`
    says what to do if not."""

    kind: str
    ok: bool
    detail: str
    remedy: str = ""
    most: Most | None = None


class Runtime(Protocol):
    """How boxes are made and reached. Where a `world` can be given, the app's is meant by default. The kinds
    are folders beside this file: `local` (bubblewrap), `docker`."""

    kind: str

    @property
    def network(self) -> NetworkMode:
        """When boxes have a network: never, during install steps, or always."""

    @property
    def shared(self) -> bool:
        """Whether processes on other machines may use the same boxes."""

    async def attach(
        self,
        job_id: UUID,
        *,
        world: World = World.APP,
        slot: int = 0,
        fence: int | None = None,
        create: bool = False,
    ) -> Workspace:
        """Attach to one of the job's boxes. A box that is asleep is woken; with `create`, a missing one is
        made. A worker gives its fence, which is the job's: it raises FenceLost if any of the job's boxes has
        seen a higher one, and ends attachments to this box with a lower one. All boxes of a job that are
        awake take one place together. Raises WorkspaceMissing (without `create`), NoPlace,
        SandboxUnavailable."""

    async def visit(self, job_id: UUID) -> Workspace:
        """Attach to the app's box without using it. If the box sleeps, its guest is woken without the app, if
        there is a free place, and ends with the last visit. A frozen box is thawed, and is as idle as before.
        Raises WorkspaceMissing, NoPlace, SandboxUnavailable."""

    async def awake(self) -> frozenset[UUID]:
        """The jobs whose app's box runs."""

    async def status(self, job_id: UUID, world: World = World.APP, slot: int = 0) -> BoxStatus:
        """The state of one box, which is not woken: `none`, `running` or `asleep`."""

    async def stop(self, job_id: UUID, world: World = World.APP, slot: int = 0) -> None:
        """Stop one box and keep its files. Idempotent. Raises WorkspaceBusy while a worker is attached."""

    async def discard(self, job_id: UUID, world: World, slot: int = 0) -> None:
        """Remove one box and its files, even if a worker is attached. The app's is removed by `destroy` only:
        raises ValueError. Idempotent; returns when they are gone."""

    async def destroy(self, job_id: UUID) -> None:
        """Remove all boxes of a job and their files, even if a worker is attached. Idempotent; returns when
        they are gone."""

    async def worlds(self) -> frozenset[BoxId]:
        """All boxes that have files here."""

    async def boxes(self) -> frozenset[UUID]:
        """The jobs that have boxes or files here, also half-made ones."""

    async def rest(self) -> None:
        """Put idle boxes to sleep, if they do not do so by themselves, and remove left-over boxes of
        `examine`. Called regularly."""

    async def examine(self) -> Diagnosis:
        """Make a throw-away box, and report whether that worked."""

    async def stop_all(self) -> None:
        """End every box, even if a worker is attached, and keep the files: for the end of the supervisor."""

    async def close(self) -> None:
        """Close the attachments of this process. Boxes go on."""
