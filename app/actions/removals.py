"""Removes the boxes of deleted jobs, again and again until they are gone, and boxes that belong to no job."""

from uuid import UUID

import structlog

from app.resources import Resources
from app.runtime.workspace import RuntimeProblem
from app.store import boxes, rows

AGAIN_S = 30.0
"""Seconds until a box that could not be removed is tried again."""

log = structlog.get_logger()


async def remove_boxes(resources: Resources) -> int:
    """Destroy boxes of deleted jobs; returns how many were destroyed. Many processes may do this at once."""
    async with resources.glance() as session:
        waiting = await rows.removals(session)
    gone = 0
    for job_id in waiting:
        try:
            await resources.runtime.destroy(job_id)
        except RuntimeProblem as error:
            log.warning("removal.waits", job=str(job_id), error=str(error))
            async with resources.unit() as unit:
                await rows.put_removal_off(unit.session, job_id, AGAIN_S)
            continue
        async with resources.unit() as unit:
            await rows.removed(unit.session, job_id)
        gone += 1
    return gone


async def remove_orphans(resources: Resources, suspects: frozenset[UUID]) -> frozenset[UUID]:
    """Destroy boxes that belong to no job in the database, for example because the database was replaced.

    `suspects` is what the previous call returned. Only a box that is in it is destroyed, so that a box of a
    job that is just being made is left alone. Returns the orphans that are still there.
    """
    found = await resources.runtime.boxes()
    async with resources.glance() as session:
        orphans = await boxes.without_job(session, found)
    gone = set()
    for job_id in orphans & suspects:
        log.info("box.orphan", job=str(job_id))
        try:
            await resources.runtime.destroy(job_id)
        except RuntimeProblem as error:
            log.warning("removal.waits", job=str(job_id), error=str(error))
        else:
            gone.add(job_id)
    return orphans - gone
