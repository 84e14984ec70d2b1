"""Actions of the client on a job's container: wake it, stop it, read its state, save a file.

Problems with boxes become refusals here. Existing clients look for some words of these refusals, so keep
them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from time import monotonic
from uuid import UUID

import structlog
from pydantic import ValidationError

from app.actions.making import make_app
from app.domain.errors import NOT_FOUND, Conflict, NotFound, Refusal, Unavailable
from app.domain.workspace import MANIFEST, Manifest
from app.resources import Resources
from app.runtime.live_app import AppHeld
from app.runtime.workspace import (
    AppStatus,
    BoxStatus,
    NoPlace,
    RuntimeProblem,
    Saved,
    Workspace,
    WorkspaceBusy,
    WorkspaceMissing,
)
from app.runtime.worlds import World
from app.store import boxes, data_looks
from app.unit import Unit

log = structlog.get_logger()

RELEASED_S = 3.0
LOOK_S = 0.1
"""Seconds for which a start of the app waits while the app is being changed, and between two looks."""


@asynccontextmanager
async def app_box(resources: Resources, user_id: UUID, job_id: UUID) -> AsyncIterator[Workspace]:
    """The box of the client's app, woken if it is asleep. Raises NotFound; Conflict `container_stopped`;
    Unavailable; and what the workspace itself refuses."""
    standing = await _usable(resources, user_id, job_id)
    async with _attached(resources, job_id, World.APP, standing) as workspace:
        yield workspace


@asynccontextmanager
async def files_box(resources: Resources, user_id: UUID, job_id: UUID) -> AsyncIterator[Workspace]:
    """The box with the job's newest files: the bench while its work is not live, else the app's box. Raises
    what `app_box` raises."""
    standing = await _usable(resources, user_id, job_id)
    world = World.BENCH if standing.shows_bench else World.APP
    async with _attached(resources, job_id, world, standing) as workspace:
        yield workspace


async def save_file(
    resources: Resources, user_id: UUID, job_id: UUID, path: str, content: str, etag: str | None
) -> Saved:
    """Write a file and commit it as "Client". Raises what `files_box` raises; Conflict `job_running`, Stale,
    TooLarge."""
    async with files_box(resources, user_id, job_id) as workspace, resources.unit() as unit:
        # The job's row is locked while the file is written, so that no run can begin in between.
        job = await unit.take(job_id, user_id)
        await refuse_while_running(unit, user_id, job_id)
        saved = await workspace.save(path, content.encode(), etag)
        manifest = read_manifest(content.encode()) if saved.path == MANIFEST else None
        if manifest is not None and (job.head is None or job.head == job.live):
            job.manifest = manifest.model_dump()
        if job.head == job.live:
            job.head = None  # what lies on the bench is older now
    return saved


async def start_container(resources: Resources, user_id: UUID, job_id: UUID) -> None:
    """Wake the container and start the app in it, also one that died. Raises NotFound; Unavailable."""
    async with resources.unit() as unit:
        job = await unit.take(job_id, user_id)
        job.box_stopped = False
    async with app_box(resources, user_id, job_id) as workspace:
        await start_app(resources, workspace, job_id)


async def start_app(resources: Resources, workspace: Workspace, job_id: UUID) -> AppStatus | None:
    """Start the app if it does not run. Returns None if there is no app yet. Waits a moment for an app that
    is just being changed; then raises AppHeld."""
    end = monotonic() + RELEASED_S
    while True:
        try:
            return await _start_app(resources, workspace, job_id)
        except AppHeld:
            if monotonic() > end:
                raise
        await asyncio.sleep(LOOK_S)


async def _start_app(resources: Resources, workspace: Workspace, job_id: UUID) -> AppStatus | None:
    async with resources.glance() as session:
        standing = await boxes.standing(session, None, job_id)
    if standing is not None and standing.changing:
        raise AppHeld  # said by the row too: a guest whose box was started anew has forgotten the change
    manifest = (standing and standing.manifest) or await manifest_of(workspace)
    if manifest is None:
        return None
    async with resources.unit() as unit:
        await data_looks.seen_awake(unit.session, [job_id])  # it may be asleep again when a worker looks
    app = await workspace.start_app(manifest)
    log.info("app.started", job=str(job_id), state=app.state)
    return app


async def stop_container(resources: Resources, user_id: UUID, job_id: UUID) -> None:
    """Stop the container. After that only `start_container` or a new run wakes it. Raises NotFound; Conflict
    `job_running`; Unavailable."""
    if (await container_status(resources, user_id, job_id)).state == "none":
        raise _nothing_built()
    async with resources.unit() as unit:
        job = await unit.take(job_id, user_id)
        await refuse_while_running(unit, user_id, job_id)
        job.box_stopped = True
    try:
        with _as_refusals():
            await resources.runtime.stop(job_id)
    except (Conflict, Unavailable):
        await _mark_stopped(resources, user_id, job_id, False)
        raise


async def container_status(resources: Resources, user_id: UUID, job_id: UUID) -> BoxStatus:
    """The state of the container, `stopped` if the client stopped it. Wakes nothing. Raises NotFound;
    Unavailable."""
    standing = await _standing(resources, user_id, job_id)
    with _as_refusals():
        status = await resources.runtime.status(job_id)
    if status.state == "none" and standing.live is not None:
        return replace(status, state="asleep")  # it is made when it is first used
    # Its data may be read meanwhile, for which its guest runs.
    return BoxStatus("stopped", status.image) if standing.stopped and status.state != "none" else status


@asynccontextmanager
async def _attached(
    resources: Resources, job_id: UUID, world: World, standing: boxes.Standing
) -> AsyncIterator[Workspace]:
    with _as_refusals():
        workspace = await _attach(resources, job_id, world, standing)
        try:
            yield workspace
        finally:
            await workspace.close()


async def _attach(resources: Resources, job_id: UUID, world: World, standing: boxes.Standing) -> Workspace:
    """Attach. A box that was lost, or not made yet, is made from what is stored."""
    if world is World.APP and standing.half_made:
        await make_app(resources, job_id)
    try:
        return await resources.runtime.attach(job_id, world=world)
    except WorkspaceMissing:
        if world is World.APP:
            await make_app(resources, job_id)
            return await resources.runtime.attach(job_id)
        async with resources.glance() as session:
            bundle = await boxes.find_bundle(session, job_id)
        if bundle is None:
            raise
    log.warning("box.restored", job=str(job_id), world=world, bytes=len(bundle))
    workspace = await resources.runtime.attach(job_id, world=world, create=True)
    try:
        await workspace.unbundle(bundle)
    except BaseException:
        await workspace.close()
        raise
    return workspace


async def _usable(resources: Resources, user_id: UUID, job_id: UUID) -> boxes.Standing:
    standing = await _standing(resources, user_id, job_id)
    if standing.stopped:
        raise Conflict("Container is not running. Start it with containers/start.", code="container_stopped")
    return standing


async def _standing(resources: Resources, user_id: UUID, job_id: UUID) -> boxes.Standing:
    async with resources.glance() as session:
        standing = await boxes.standing(session, user_id, job_id)
    if standing is None:
        raise NotFound(NOT_FOUND)
    return standing


async def refuse_while_running(unit: Unit, user_id: UUID, job_id: UUID) -> None:
    """Raises Conflict `job_running` while a run is at work on the files. The job's row is locked."""
    standing = await boxes.standing(unit.session, user_id, job_id)
    if standing is not None and standing.is_running:
        raise Conflict("The builder is at work on this job.", code="job_running")


async def _mark_stopped(resources: Resources, user_id: UUID, job_id: UUID, stopped: bool) -> None:
    async with resources.unit() as unit:
        job = await unit.take(job_id, user_id)
        job.box_stopped = stopped


async def manifest_of(workspace: Workspace) -> Manifest | None:
    """The app's `boardroom.json`; None if there is none or it is not valid."""
    try:
        return read_manifest((await workspace.read(MANIFEST)).content)
    except Refusal:
        return None


def read_manifest(content: bytes) -> Manifest | None:
    try:
        return Manifest.model_validate_json(content)
    except ValidationError:
        return None


@contextmanager
def _as_refusals() -> Iterator[None]:
    """Turn problems with boxes into refusals."""
    try:
        yield
    except WorkspaceMissing:
        raise _nothing_built() from None
    except WorkspaceBusy:
        raise Conflict("The builder is at work in this container.", code="job_running") from None
    except NoPlace as full:
        raise Unavailable(f"{full} Try again in a moment.", code="containers_busy", retry_after=5) from full
    except RuntimeProblem as problem:
        log.warning("box.problem", problem=str(problem))
        raise Unavailable("Container engine is not reachable.", code="engine_down") from problem


def _nothing_built() -> NotFound:
    return NotFound("Container not found: nothing has been built yet.", code="container_not_found")
