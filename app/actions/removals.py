"""Removes the boxes of deleted jobs, again and again until they are gone, and boxes that belong to no job."""

from uuid import UUID

import structlog

from app.resources import Resources
from app.runtime.workspace import RuntimeProblem
from app.runtime.worlds import World
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


async def remove_left_over(resources: Resources) -> int:
    """Discard the trials, and the benches without work, of jobs that no run works on; returns how many. A run
    that was killed or cancelled leaves them."""
    worlds = [box for box in await resources.runtime.worlds() if box.world is not World.APP]
    async with resources.glance() as session:
        resting = await boxes.at_rest(session, {box.job_id for box in worlds})
    gone = 0
    for box in worlds:
        if box.job_id in resting and not (box.world is World.BENCH and resting[box.job_id]):
            await resources.runtime.discard(box.job_id, box.world, box.slot)
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
