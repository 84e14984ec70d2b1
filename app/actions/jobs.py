"""Create, edit and delete jobs."""

from contextlib import suppress
from uuid import UUID

from uuid_utils.compat import uuid7

from app.actions import changes
from app.actions.idempotency import answered, begin
from app.domain.conversation import STAGE_REQUIREMENTS
from app.domain.errors import Conflict, NotFound
from app.domain.job import Status
from app.domain.stages import RunState, first_stage
from app.resources import Resources
from app.store import rows
from app.store.idempotency import Once
from app.store.tables import Job, Run


async def create_job(
    resources: Resources, user_id: UUID, sender: str, prompt: str, once: Once | None = None
) -> bytes:
    """A new `Job` with its first run. The idea is stored as the first message of the chat; a worker will
    answer it."""
    async with resources.unit() as unit:
        await begin(unit, once)
        now = await rows.now(unit.session)
        job = Job(
            id=uuid7(),
            user_id=user_id,
            initial_prompt=prompt,
            prompt=prompt,
            requirements_summary="",
            status=Status.COLLECTING,
            error_message="",
            is_paused=False,
            start_asked=False,
            box_stopped=False,
            created_at=now,
            updated_at=now,
            last_moment=now,
            last_seq=0,
            last_position=0,
            last_order=0,
            client_messages=1,
        )
        unit.start(job)
        run = Run(
            id=uuid7(),
            job_id=job.id,
            number=1,
            kind="build",
            state=RunState.READY,
            stage=first_stage(talked=False).name,
        )
        unit.session.add(run)
        changes.add_message(unit, job, "user", sender, prompt, {"stage": STAGE_REQUIREMENTS})
        unit.ring(run.id)
        return await answered(unit, once, await unit.answer())


async def edit_prompt(resources: Resources, user_id: UUID, job_id: UUID, initial_prompt: str) -> None:
    """Change the idea; the chat stays as it is. Raises NotFound; Conflict unless the job is `collecting`."""
    async with resources.unit() as unit:
        job = await unit.take(job_id, user_id)
        if job.status != Status.COLLECTING:
            raise Conflict("The idea can only be reworded while requirements are being collected.")
        job.initial_prompt = job.prompt = initial_prompt


async def delete_job(resources: Resources, user_id: UUID, job_id: UUID) -> None:
    """Delete a job with all its rows. Its box is removed in the background (see `removals`)."""
    async with resources.unit() as unit:
        job = await unit.take(job_id, user_id)
        await rows.remove_job(unit.session, job.id)
        unit.nudge()


async def purge_jobs(resources: Resources, user_id: UUID) -> int:
    """Delete all jobs of a user. Returns how many were deleted."""
    async with resources.glance() as session:
        ids = await rows.job_ids(session, user_id)
    deleted = 0
    for job_id in ids:
        with suppress(NotFound):  # another request has deleted it
            await delete_job(resources, user_id, job_id)
            deleted += 1
    return deleted
