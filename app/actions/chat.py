"""What the client says to Client Relations."""

from uuid import UUID

from app.actions import changes
from app.domain.conversation import STAGE_REQUIREMENTS
from app.domain.errors import Conflict
from app.domain.job import MAX_CLIENT_MESSAGES, Status
from app.domain.stages import RunState, WaitingFor
from app.resources import Resources
from app.store import runs
from app.store.tables import Job
from app.unit import Unit


async def say(resources: Resources, user_id: UUID, sender: str, job_id: UUID, content: str) -> bool:
    """Store a chat message and make the run claimable, in one unit.

    Returns False, and changes nothing, if the job is not `collecting` any more. Raises NotFound; Conflict
    `job_full`.
    """
    async with resources.unit() as unit:
        job = await unit.take(job_id, user_id)
        if job.status != Status.COLLECTING:
            return False
        count_client_message(job)
        changes.add_message(unit, job, "user", sender, content, {"stage": STAGE_REQUIREMENTS})
        await wake_run(unit, job)
    return True


async def wake_run(unit: Unit, job: Job) -> None:
    """Make the active run claimable: it has something to do. One that waits for a model still waits for
    it."""
    run = await runs.active(unit.session, job.id)
    if run is not None:
        if run.state == RunState.WAITING:
            run.state = RunState.READY
            runs.wait_for(job, run, WaitingFor.NOTHING)
        unit.ring(run.id)


def count_client_message(job: Job) -> None:
    """Count one more message of the client. Raises Conflict `job_full` if there are too many."""
    if job.client_messages >= MAX_CLIENT_MESSAGES:
        raise Conflict(f"This job already has {MAX_CLIENT_MESSAGES} messages.", code="job_full")
    job.client_messages += 1
