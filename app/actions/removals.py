"""Boxes of deleted jobs go, and are tried again until they are gone."""

import structlog

from app.resources import Resources
from app.runtime.workspace import RuntimeProblem
from app.store import rows

log = structlog.get_logger()


async def remove_boxes(resources: Resources) -> int:
    """Destroy the boxes of deleted jobs; how many are gone now. Safe to run in many processes at once."""
    async with resources.look() as session:
        waiting = await rows.removals(session)
    gone = 0
    for job_id in waiting:
        try:
            await resources.runtime.destroy(job_id)
        except RuntimeProblem as error:
            log.warning("removal.waits", job=str(job_id), error=str(error))
            continue
        async with resources.unit() as unit:
            await rows.removed(unit.session, job_id)
        gone += 1
    return gone
