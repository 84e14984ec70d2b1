"""Writes rows that otherwise only a worker makes, for tests of the routes that show them."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from uuid_utils.compat import uuid7

from app.actions import changes
from app.domain.job import FailureCode, Status
from app.resources import Resources
from app.store import runs
from app.store.tables import App, DataCopy, Evidence, Job, Ticket
from app.store.tickets import keep_screenshot
from app.unit import Unit

CHECK = {"id": "c1", "criterion": 0, "kind": "http", "method": "GET", "path": "/", "expect_status": 200}
SPEC = {"requirements": "R1", "summary": "A list", "discussion": []}


async def take_any(unit: Unit, job_id: UUID) -> Job:
    """Lock a job, whoever owns it."""
    owner = await unit.session.scalar(select(Job.user_id).where(Job.id == job_id))
    assert owner is not None
    return await unit.take(job_id, owner)


async def fail_job(resources: Resources, job_id: str, error: str = "It broke. Retry.") -> None:
    """Change the job as if its run had failed."""
    async with resources.unit() as unit:
        job = await take_any(unit, UUID(job_id))
        run = await runs.active(unit.session, job.id)
        if run is not None:
            run.state = "failed"
        changes.fail(unit, job, FailureCode.INTERNAL, error)


async def advance_job(resources: Resources, job_id: str, *statuses: Status) -> None:
    """Take the job through these statuses. `build_done` also ends the run."""
    async with resources.unit() as unit:
        job = await take_any(unit, UUID(job_id))
        for status in statuses:
            changes.set_status(unit, job, status)
        if statuses[-1] is Status.BUILD_DONE:
            run = await runs.active(unit.session, job.id)
            assert run is not None
            run.state = "done"


TO_BUILDING = (
    Status.QUEUED,
    Status.PLANNING,
    Status.PRD_READY,
    Status.TICKETING,
    Status.TICKETS_READY,
    Status.BUILDING,
)


async def add_app(resources: Resources, job_id: str, **spec: Any) -> str:
    """Make the app of a job and return its id."""
    async with resources.unit() as unit:
        job = await take_any(unit, UUID(job_id))
        moment = unit.moment()
        app = App(
            id=uuid7(),
            job_id=job.id,
            spec=SPEC | spec,
            prd_markdown="# PRD",
            prd_generated_at=moment,
            created_at=moment,
            updated_at=moment,
        )
        unit.session.add(app)
        changes.tell_prd(unit, app)
    return str(app.id)


async def add_ticket(resources: Resources, job_id: str, order: int, **more: Any) -> str:
    """Make a ticket of a job and return its id."""
    async with resources.unit() as unit:
        job = await take_any(unit, UUID(job_id))
        moment = unit.moment()
        ticket = Ticket(
            **{
                "id": uuid7(),
                "job_id": job.id,
                "type": "story",
                "title": f"Ticket {order}",
                "description": "",
                "acceptance_criteria": ["It answers"],
                "checks": [CHECK],
                "requirements": ["R1"],
                "status": "todo",
                "assigned_to": "Builder",
                "dependencies": [],
                "order": order,
                "attempts": 0,
                "created_at": moment,
                "updated_at": moment,
                **more,
            }
        )
        unit.session.add(ticket)
        changes.tell_ticket(unit, ticket, event="created")
    return str(ticket.id)


async def add_data_copy(resources: Resources, job_id: str) -> str:
    """Make an empty copy of the data of a job's app and return its id."""
    copy = DataCopy(id=uuid7(), job_id=UUID(job_id), cause="asked", commit=None, size=0, entries=0, pieces=[])
    async with resources.unit() as unit:
        unit.session.add(copy)
    return str(copy.id)


async def add_evidence(
    resources: Resources,
    job_id: str,
    ticket_id: str,
    passed: bool,
    phase: str = "green",
    picture: bytes = b"",
) -> str:
    async with resources.unit() as unit:
        job = await take_any(unit, UUID(job_id))
        run = await runs.latest(unit.session, job.id)
        assert run is not None
        evidence = Evidence(
            id=uuid7(),
            job_id=job.id,
            run_id=run.id,
            ticket_id=UUID(ticket_id),
            phase=phase,
            criterion=0,
            check=CHECK,
            check_digest="d",
            commit="c" * 40,
            tree="t" * 40,
            exit_code=None,
            passed=passed,
            output_tail="200",
            duration_ms=12,
        )
        unit.session.add(evidence)
        if picture:
            await keep_screenshot(unit.session, evidence, picture)
    return str(evidence.id)
