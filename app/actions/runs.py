"""Actions of the client on a run: start, continue, pause, resume, cancel, retry. Each returns the `Job` as
JSON.

None of them needs a worker to be alive: they change rows. A worker that holds the run notices it.
"""

from contextlib import suppress
from uuid import UUID

from uuid_utils.compat import uuid7

from app.actions import changes
from app.actions.chat import count_client_message, wake_run
from app.actions.idempotency import answered, begin
from app.domain.errors import Conflict, Unavailable
from app.domain.job import FINISHED, FailureCode, Status
from app.domain.stages import RunState, first_stage, stage_again, stage_named
from app.resources import Resources
from app.store import rows, runs, spending
from app.store.idempotency import Once
from app.store.tables import Job, Run
from app.unit import Unit


async def start_now(resources: Resources, user_id: UUID, job_id: UUID, once: Once | None = None) -> bytes:
    """Have Client Relations sum up without further questions. Raises NotFound; Conflict unless
    `collecting`."""
    async with resources.unit() as unit:
        await begin(unit, once)
        job = await unit.take(job_id, user_id)
        if job.status != Status.COLLECTING:
            raise Conflict("This job has already started.", code="already_started")
        job.start_asked = True
        await wake_run(unit, job)
        return await answered(unit, once, await unit.answer())


async def continue_job(
    resources: Resources,
    user_id: UUID,
    sender: str,
    job_id: UUID,
    requirements: str,
    once: Once | None = None,
) -> bytes:
    """A further run with new requirements. Of several calls at the same time exactly one succeeds.

    Raises NotFound; Conflict `continuation_in_progress` or `job_running` while a run is active, `job_full`.
    """
    async with resources.unit() as unit:
        await begin(unit, once)
        job = await unit.take(job_id, user_id)
        last = await runs.latest(unit.session, job.id)
        if job.status not in FINISHED or last is None:
            if last is not None and last.kind == "continuation":
                raise Conflict("Another continuation is in progress.", code="continuation_in_progress")
            raise Conflict("The job is still running.", code="job_running")
        count_client_message(job)
        metadata = {"stage": "continuation", "type": "user_followup"}
        changes.add_message(unit, job, "user", sender, requirements, metadata)
        changes.set_status(unit, job, Status.QUEUED, "Continuation queued.")
        run = Run(
            id=uuid7(),
            job_id=job.id,
            number=last.number + 1,
            kind="continuation",
            state=RunState.READY,
            stage=first_stage(talked=bool(job.requirements_summary)).name,
            requirements=requirements,
        )
        unit.session.add(run)
        unit.ring(run.id)
        body = b'{"detail":"Continuation queued.","job":' + await unit.answer() + b"}"
        return await answered(unit, once, body)


async def pause_job(resources: Resources, user_id: UUID, job_id: UUID) -> bytes:
    """Pause the run. A running model call is completed and stored, a running command is ended. Raises
    NotFound; Conflict if the job is finished."""
    async with resources.unit() as unit:
        job = await _take_unfinished(unit, job_id, user_id)
        changes.set_paused(unit, job, True)
        return await unit.answer()


async def resume_job(resources: Resources, user_id: UUID, job_id: UUID) -> bytes:
    """Continue a paused run. Raises NotFound; Conflict if the job is finished."""
    async with resources.unit() as unit:
        job = await _take_unfinished(unit, job_id, user_id)
        changes.set_paused(unit, job, False)
        run = await runs.active(unit.session, job.id)
        if run is not None and run.state == RunState.READY:
            unit.ring(run.id)
        return await unit.answer()


async def cancel_job(resources: Resources, user_id: UUID, job_id: UUID) -> bytes:
    """End the run at once: no worker can write to it afterwards. Raises NotFound; Conflict if the job is
    finished."""
    async with resources.unit() as unit:
        job = await _take_unfinished(unit, job_id, user_id)
        run = await runs.active(unit.session, job.id)
        if run is not None:
            runs.end(job, run, RunState.CANCELLED)
        changes.interrupt_tickets(unit, job, await rows.tickets(unit.session, job.id))
        changes.fail(unit, job, FailureCode.CANCELLED, "Cancelled by the client. Retry to go on from here.")
        answer = await unit.answer()
    # If this fails, the job's next request to a model does it.
    with suppress(Unavailable):
        async with resources.statements() as statements:
            await spending.charge_lost(statements, job_id)
    return answer


async def retry_job(resources: Resources, user_id: UUID, job_id: UUID, once: Once | None = None) -> bytes:
    """Continue the last run where it failed: stored answers are used again, failed tickets get a new attempt.
    Raises NotFound; Conflict unless the job is `failed`."""
    async with resources.unit() as unit:
        await begin(unit, once)
        job = await unit.take(job_id, user_id)
        if job.status != Status.FAILED:
            raise Conflict("Only a failed job can be retried.", code="not_failed")
        run = await runs.latest(unit.session, job.id)
        assert run is not None, "a job is made with its first run"
        run.state, run.lease_until, run.claims = RunState.READY, None, 0
        run.retries += 1
        run.stage = stage_again(stage_named(run.stage)).name
        changes.set_status(unit, job, Status.QUEUED, "Retry queued.")
        changes.reopen_tickets(unit, job, await rows.tickets(unit.session, job.id))
        unit.ring(run.id)
        return await answered(unit, once, await unit.answer())


async def _take_unfinished(unit: Unit, job_id: UUID, user_id: UUID) -> Job:
    job = await unit.take(job_id, user_id)
    if job.status in FINISHED:
        raise Conflict("The job is already finished.", code="job_finished")
    return job
