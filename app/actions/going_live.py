"""Brings the client's app back to where it was when nobody finishes its change: the run was cancelled or has
failed, or its worker died and the change was recorded already."""

import structlog

from app.actions import data_copies
from app.domain.errors import NotFound, Refusal
from app.domain.workspace import Manifest
from app.resources import Resources
from app.runtime.workspace import FenceLost, RuntimeProblem, Workspace, WorkspaceMissing
from app.store import boxes
from app.store.tables import GoingLive

log = structlog.get_logger()


async def undo(resources: Resources, app: Workspace, going: GoingLive, manifest: Manifest | None) -> None:
    """Bring the app back to the commit and the data of before, and start it by its `manifest`. No entry of
    the client's is lost by it: since the copy of the data nobody could make one. Raises RuntimeProblem,
    Refusal."""
    await app.hold()
    if going.old is not None and await app.head() is not None:
        if going.copied:  # no file is changed before its data are copied
            await bring_files_back(resources, app, going)
        if manifest is not None:
            await app.start_app(manifest)
    # Before the first entry after it can be made: whoever finds the row now undoes nothing a second time.
    async with resources.statements() as statements:
        await boxes.recorded(statements, going.job_id)
    await app.release()


async def bring_files_back(resources: Resources, app: Workspace, going: GoingLive) -> None:
    """Make the app's files and data those of before. The app is held, and its data were copied. If the copy
    aside is gone (what runs in the box could delete it), the stored one is put back. Raises RuntimeProblem,
    Refusal."""
    assert going.old is not None, "without an app there is nothing to copy"
    await app.switch(going.new, going.old)
    try:
        await app.put_back(going.old)
    except NotFound:
        if going.copy_id is None:
            raise
        log.warning("data.from_database", job=str(going.job_id), copy=str(going.copy_id))
        await app.take_in(data_copies.read(resources, None, going.job_id, going.copy_id))
        await app.put_back(going.old)


async def settle(resources: Resources) -> int:
    """Undo, or release, the changes of apps that no run goes on with; returns how many. Many processes may do
    this at once: the highest fence wins."""
    async with resources.look() as session:
        waiting = await boxes.unsettled(session)
    done = 0
    for going, manifest in waiting:
        try:
            if not await _settle_one(resources, going, manifest):
                continue
        except (RuntimeProblem, Refusal) as problem:
            if not isinstance(problem, FenceLost):
                log.warning("going_live.unsettled", job=str(going.job_id), problem=str(problem))
            continue
        log.info("going_live.settled", job=str(going.job_id), recorded=going.recorded_at is not None)
        done += 1
    return done


async def _settle_one(resources: Resources, going: GoingLive, manifest: Manifest | None) -> bool:
    """Returns False if somebody goes on with it after all."""
    if going.run_id is not None:
        await _settle(resources, going, manifest)
        return True
    async with resources.unit() as unit:
        still = await boxes.left_alone(unit.session, going.job_id)
        if still is None:
            return False
        await _settle(resources, still, manifest)
    return True


async def _settle(resources: Resources, going: GoingLive, manifest: Manifest | None) -> None:
    async with resources.glance() as session:
        fence = await boxes.next_fence(session)
    try:
        app = await resources.runtime.attach(going.job_id, fence=fence)
    except WorkspaceMissing:
        app = None  # the box was lost, and with it the change
    if app is not None:
        try:
            # With this fence nobody else goes on with it, so what the row says now stays true.
            async with resources.glance() as session:
                now = await boxes.going_live(session, going.job_id)
            if now is None or now.run_id != going.run_id:
                return
            await (app.release() if now.recorded_at else undo(resources, app, now, manifest))
        finally:
            await app.close()
    async with resources.statements() as statements:
        await boxes.settled(statements, going.job_id)
