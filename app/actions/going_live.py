"""Brings the client's app back to where it was when nobody finishes its change: the run was cancelled or has
failed, or its worker died and the change was recorded already."""

import structlog

from app.domain.errors import Refusal
from app.domain.workspace import Manifest
from app.resources import Resources
from app.runtime.workspace import FenceLost, RuntimeProblem, Workspace, WorkspaceMissing
from app.store import boxes
from app.store.tables import GoingLive

log = structlog.get_logger()


async def undo(app: Workspace, going: GoingLive, manifest: Manifest | None) -> None:
    """Bring the app back to the commit and the data of before, and start it by its `manifest`. No entry of
    the client's is lost by it: since the copy of the data nobody could make one. Raises RuntimeProblem,
    Refusal."""
    await app.hold()
    if going.old is not None:
        await app.switch(going.new, going.old)
        if going.copied:
            await app.put_back(going.old)
        if manifest is not None:
            await app.start_app(manifest)
    await app.release()


async def settle(resources: Resources) -> int:
    """Undo, or release, the changes of apps that no run goes on with; returns how many. Many processes may do
    this at once: the highest fence wins."""
    async with resources.look() as session:
        waiting = await boxes.unsettled(session)
    done = 0
    for going, manifest in waiting:
        try:
            await _settle(resources, going, manifest)
        except (RuntimeProblem, Refusal) as problem:
            if not isinstance(problem, FenceLost):
                log.warning("going_live.unsettled", job=str(going.job_id), problem=str(problem))
            continue
        log.info("going_live.settled", job=str(going.job_id), recorded=going.recorded_at is not None)
        done += 1
    return done


async def _settle(resources: Resources, going: GoingLive, manifest: Manifest | None) -> None:
    async with resources.glance() as session:
        fence = await boxes.next_fence(session)
    try:
        app = await resources.runtime.attach(going.job_id, fence=fence)
    except WorkspaceMissing:
        app = None  # the box was lost, and with it the change
    if app is not None:
        try:
            await (app.release() if going.recorded_at else undo(app, going, manifest))
        finally:
            await app.close()
    async with resources.statements() as statements:
        await boxes.settled(statements, going.job_id)
