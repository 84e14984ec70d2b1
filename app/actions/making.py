"""Makes the box of a client's app from what is stored: when it is first looked at, and when it was lost.

`app_makings` has a row from before the box is there until it is whole, and the job is locked meanwhile. So
whoever else needs the box waits, and if its maker dies, the next one makes it whole. A box that a worker
makes to bring a first version live has that row, too, until the version is live.
"""

from uuid import UUID

import structlog

from app.actions import data_copies
from app.resources import Resources
from app.runtime.live_app import AppHeld
from app.runtime.workspace import WorkspaceMissing
from app.store import boxes

log = structlog.get_logger()


async def make_app(resources: Resources, job_id: UUID, *, unless_none: bool = False) -> None:
    """Make the app's box whole: its files are the commit that is live, its data the newest stored copy. A box
    that is whole stays as it is; with `unless_none`, a missing one, too. Raises NotFound, AppHeld, and
    WorkspaceMissing if nothing is stored that it could be made of."""
    async with resources.glance() as session:
        is_half_made = await boxes.is_half_made(session, job_id)
    if not is_half_made and unless_none:
        return
    async with resources.unit() as unit:
        job = await unit.take_any(job_id)
        is_half_made = await boxes.is_half_made(unit.session, job_id)
        if not is_half_made and (await resources.runtime.status(job_id)).state != "none":
            return
        going = await boxes.going_live(unit.session, job_id)
        if going is not None and going.recorded_at is None:
            raise AppHeld
        bundle = await boxes.find_bundle(unit.session, job_id)
        if bundle is None or (job.head is not None and job.live is None):
            raise WorkspaceMissing("nothing of this job's app is stored")
        async with resources.unit() as beginning:
            await boxes.begin_making(beginning.session, job_id)
        log.warning("box.restored", job=str(job_id), world="app", bytes=len(bundle))
        await _fill(resources, job_id, bundle, job.live)
        await boxes.end_making(unit.session, job_id)


async def _fill(resources: Resources, job_id: UUID, bundle: bytes, live: str | None) -> None:
    app = await resources.runtime.attach(job_id, create=True)
    try:
        await app.unbundle(bundle)
        if live is not None:
            await app.restore(live)
            await data_copies.bring_newest(resources, job_id, app, live)
    finally:
        await app.close()
