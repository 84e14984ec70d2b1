"""Actions of the client on a job's container: wake it, stop it, read its state, save a file.

Problems with boxes become refusals here. Existing clients look for some words of these refusals, so keep
them.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from uuid import UUID

import structlog
from pydantic import ValidationError

from app.domain.errors import NOT_FOUND, Conflict, NotFound, Refusal, Unavailable
from app.domain.workspace import MANIFEST, Manifest
from app.resources import Resources
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
from app.store import boxes

log = structlog.get_logger()


@asynccontextmanager
async def attached(resources: Resources, user_id: UUID, job_id: UUID) -> AsyncIterator[Workspace]:
    """The job's workspace, woken if it is asleep. Raises NotFound; Conflict `container_stopped`; Unavailable;
    and what the workspace itself refuses."""
    if await _is_stopped(resources, user_id, job_id):
        raise Conflict("Container is not running. Start it with containers/start.", code="container_stopped")
    with _as_refusals():
        workspace = await _attach(resources, job_id)
        try:
            yield workspace
        finally:
            await workspace.close()


async def save_file(
    resources: Resources, user_id: UUID, job_id: UUID, path: str, content: str, etag: str | None
) -> Saved:
    """Write a file and commit it as "Client". Raises what `attached` raises; Conflict `job_running`, Stale,
    TooLarge."""
    async with attached(resources, user_id, job_id) as workspace:
        saved = await workspace.save(path, content.encode(), etag)
    if saved.path == MANIFEST and (manifest := read_manifest(content.encode())) is not None:
        async with resources.unit() as unit:
            (await unit.take(job_id, user_id)).manifest = manifest.model_dump()
    return saved


async def start_container(resources: Resources, user_id: UUID, job_id: UUID) -> None:
    """Wake the container and start the app in it, also one that died. Raises NotFound; Unavailable."""
    async with resources.unit() as unit:
        job = await unit.take(job_id, user_id)
        job.box_stopped = False
    async with attached(resources, user_id, job_id) as workspace:
        await start_app(resources, workspace, job_id)


async def start_app(resources: Resources, workspace: Workspace, job_id: UUID) -> AppStatus | None:
    """Start the app if it does not run. Returns None if there is no app yet."""
    async with resources.glance() as session:
        manifest = await boxes.manifest(session, job_id)
    manifest = manifest or await manifest_of(workspace)
    if manifest is None:
        return None
    app = await workspace.start_app(manifest)
    log.info("app.started", job=str(job_id), state=app.state)
    return app


async def stop_container(resources: Resources, user_id: UUID, job_id: UUID) -> None:
    """Stop the container. After that only `start_container` or a new run wakes it. Raises NotFound; Conflict
    `job_running`; Unavailable."""
    if (await container_status(resources, user_id, job_id)).state == "none":
        raise _nothing_built()
    await _mark_stopped(resources, user_id, job_id, True)
    try:
        with _as_refusals():
            await resources.runtime.stop(job_id)
    except (Conflict, Unavailable):
        await _mark_stopped(resources, user_id, job_id, False)
        raise


async def container_status(resources: Resources, user_id: UUID, job_id: UUID) -> BoxStatus:
    """The state of the container, `stopped` if the client stopped it. Wakes nothing. Raises NotFound;
    Unavailable."""
    stopped = await _is_stopped(resources, user_id, job_id)
    with _as_refusals():
        status = await resources.runtime.status(job_id)
    return BoxStatus("stopped", status.image) if stopped and status.state == "asleep" else status


async def _attach(resources: Resources, job_id: UUID) -> Workspace:
    """Attach. A box that was lost is made again from its stored repository."""
    try:
        return await resources.runtime.attach(job_id)
    except WorkspaceMissing:
        async with resources.glance() as session:
            bundle = await boxes.find_bundle(session, job_id)
        if bundle is None:
            raise
    log.warning("box.restored", job=str(job_id), bytes=len(bundle))
    workspace = await resources.runtime.attach(job_id, create=True)
    try:
        await workspace.unbundle(bundle)
    except BaseException:
        await workspace.close()
        raise
    return workspace


async def _is_stopped(resources: Resources, user_id: UUID, job_id: UUID) -> bool:
    async with resources.glance() as session:
        stopped = await boxes.is_stopped(session, user_id, job_id)
    if stopped is None:
        raise NotFound(NOT_FOUND)
    return stopped


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
