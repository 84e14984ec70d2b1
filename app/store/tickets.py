"""Tickets and evidence as clients see them. Every query includes the owner."""

from uuid import UUID

from sqlalchemy import bindparam, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.store.answers import Listed, Listing, Page, as_text, made_of, one, stamp
from app.store.statements import Statement, Statements
from app.store.tables import Evidence, Job, Run, Screenshot, Ticket

_TICKET = made_of(
    id=Ticket.id,
    job_id=Ticket.job_id,
    parent_id=Ticket.parent_id,
    type=Ticket.type,
    title=Ticket.title,
    description=Ticket.description,
    acceptance_criteria=Ticket.acceptance_criteria,
    checks=Ticket.checks,
    status=Ticket.status,
    assigned_to=Ticket.assigned_to,
    dependencies=Ticket.dependencies,
    order=Ticket.order,
    attempts=Ticket.attempts,
    contests=Ticket.contests,
    commit=Ticket.commit,
    created_at=stamp(Ticket.created_at),
    updated_at=stamp(Ticket.updated_at),
)
_EVIDENCE = made_of(
    id=Evidence.id,
    run=Run.number,
    phase=Evidence.phase,
    ticket_id=Evidence.ticket_id,
    criterion=Evidence.criterion,
    check=Evidence.check,
    exit_code=Evidence.exit_code,
    passed=Evidence.passed,
    output_tail=Evidence.output_tail,
    duration_ms=Evidence.duration_ms,
    commit=Evidence.commit,
    screenshot=exists().where(Screenshot.evidence_id == Evidence.id),
    created_at=stamp(Evidence.created_at),
)
_ALONE = Statement(
    select(as_text(_TICKET))
    .join(Job, Job.id == Ticket.job_id)
    .where(Ticket.id == bindparam("ticket_id"), Job.user_id == bindparam("owner"))
)
_OWNED = (
    select(Ticket.id, _TICKET).join(Job, Job.id == Ticket.job_id).where(Job.user_id == bindparam("owner"))
)
_ORDER = (Ticket.job_id, Ticket.order, Ticket.id)
_ALL = Listing(_OWNED, _ORDER)
_OF_JOB = Listing(_OWNED.where(Ticket.job_id == bindparam("job_id")), _ORDER)
_EVIDENCE_OF_JOB = Listing(
    select(Evidence.id, _EVIDENCE)
    .join(Job, Job.id == Evidence.job_id)
    .join(Run, Run.id == Evidence.run_id)
    .where(Evidence.job_id == bindparam("job_id"), Job.user_id == bindparam("owner")),
    (Evidence.created_at, Evidence.id),
)
_SCREENSHOT = Statement(
    select(Screenshot.picture)
    .join(Job, Job.id == Screenshot.job_id)
    .where(
        Screenshot.evidence_id == bindparam("evidence_id"),
        Screenshot.job_id == bindparam("job_id"),
        Job.user_id == bindparam("owner"),
    )
)
KEPT_SCREENSHOTS = 3
"""Of each check."""


async def ticket(statements: Statements, owner: UUID, ticket_id: UUID) -> bytes | None:
    """A `Ticket`."""
    return await one(statements, _ALONE, ticket_id=ticket_id, owner=owner)


async def all_tickets(statements: Statements, owner: UUID, job_id: UUID | None, page: Page) -> Listed:
    """`[Ticket]` of one job or of all, in execution order."""
    if job_id is None:
        return await _ALL.read(statements, page, owner=owner)
    return await _OF_JOB.read(statements, page, owner=owner, job_id=job_id)


async def job_of(session: AsyncSession, owner: UUID, ticket_id: UUID) -> UUID | None:
    """The job a ticket is in."""
    query = select(Ticket.job_id).join(Job, Job.id == Ticket.job_id)
    found: UUID | None = await session.scalar(query.where(Ticket.id == ticket_id, Job.user_id == owner))
    return found


async def evidence(statements: Statements, owner: UUID, job_id: UUID, page: Page) -> Listed:
    """`[Evidence]` of one job, oldest first."""
    return await _EVIDENCE_OF_JOB.read(statements, page, owner=owner, job_id=job_id)


async def screenshot(statements: Statements, owner: UUID, job_id: UUID, evidence_id: UUID) -> bytes | None:
    """The picture of a page check's result, a JPEG."""
    named = {"owner": owner, "job_id": job_id, "evidence_id": evidence_id}
    found = await statements.row(_SCREENSHOT, named)
    return None if found is None else bytes(found[0])


async def keep_screenshot(session: AsyncSession, evidence: Evidence, picture: bytes) -> None:
    """Store the picture of a result, and forget all but the last ones of the same check."""
    await session.flush()
    session.add(
        Screenshot(
            evidence_id=evidence.id,
            job_id=evidence.job_id,
            check_digest=evidence.check_digest,
            picture=picture,
        )
    )
    await session.flush()
    same = (Screenshot.job_id == evidence.job_id, Screenshot.check_digest == evidence.check_digest)
    newest = select(Screenshot.evidence_id).where(*same).order_by(Screenshot.evidence_id.desc())
    await session.execute(
        delete(Screenshot).where(*same, Screenshot.evidence_id.not_in(newest.limit(KEPT_SCREENSHOTS)))
    )
