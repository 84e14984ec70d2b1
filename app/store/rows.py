"""Rows as instances: what actions and stages read before they change something.

The reads behind the API's answers are in other files and make no instances. Statements that every step of a
run needs are built once, because building one takes longer than PostgreSQL needs to run it.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.conversation import STAGE_REQUIREMENTS
from app.store.tables import App, Evidence, Job, Message, Removal, Run, Ticket


async def now(session: AsyncSession) -> datetime:
    """The database's clock."""
    moment: datetime | None = await session.scalar(select(func.clock_timestamp()))
    assert moment is not None
    return moment


async def job_ids(session: AsyncSession, user_id: UUID) -> Sequence[UUID]:
    return (await session.scalars(select(Job.id).where(Job.user_id == user_id))).all()


async def job_and_run(session: AsyncSession, run_id: UUID) -> tuple[Job, Run] | None:
    """A run with its job, or None when they are gone."""
    row = (await session.execute(_JOB_AND_RUN, {"run": run_id})).one_or_none()
    return None if row is None else (row[0], row[1])


_JOB_AND_RUN = select(Job, Run).join(Run, Run.job_id == Job.id).where(Run.id == bindparam("run"))


async def remove_job(session: AsyncSession, job_id: UUID) -> None:
    """Delete the job with all its rows, and note that its box has to be removed."""
    session.add(Removal(job_id=job_id))
    await session.execute(delete(Job).where(Job.id == job_id))


async def removals(session: AsyncSession) -> Sequence[UUID]:
    """Deleted jobs whose boxes may still exist and should be tried now."""
    due = select(Removal.job_id).where(Removal.not_before <= func.clock_timestamp())
    return (await session.scalars(due.order_by(Removal.not_before).limit(20))).all()


async def put_removal_off(session: AsyncSession, job_id: UUID, for_s: float) -> None:
    """The box could not be removed: try others first."""
    later = func.clock_timestamp() + timedelta(seconds=for_s)
    await session.execute(update(Removal).where(Removal.job_id == job_id).values(not_before=later))


async def removed(session: AsyncSession, job_id: UUID) -> None:
    """The box of a deleted job is gone."""
    await session.execute(delete(Removal).where(Removal.job_id == job_id))


async def tickets(session: AsyncSession, job_id: UUID) -> Sequence[Ticket]:
    """The backlog in its order."""
    return (await session.scalars(_TICKETS, {"job": job_id})).all()


_TICKETS = select(Ticket).where(Ticket.job_id == bindparam("job")).order_by(Ticket.order)


async def ticket(session: AsyncSession, ticket_id: UUID) -> Ticket:
    return await session.get_one(Ticket, ticket_id)


async def delete_tickets(session: AsyncSession, ids: Sequence[UUID]) -> None:
    await session.execute(delete(Ticket).where(Ticket.id.in_(ids)))


async def apps(session: AsyncSession, job_id: UUID) -> list[App]:
    """The job's app, if it has one."""
    return list(await session.scalars(_APPS, {"job": job_id}))


_APPS = select(App).where(App.job_id == bindparam("job"))


async def chat(session: AsyncSession, job_id: UUID) -> Sequence[Message]:
    """The conversation with Client Relations, oldest first: the client's messages and the replies."""
    return (await session.scalars(_CHAT, {"job": job_id})).all()


_CHAT = (
    select(Message)
    .where(
        Message.job_id == bindparam("job"),
        Message.role.in_(("user", "agent")),
        Message.data["stage"].as_string() == STAGE_REQUIREMENTS,
    )
    .order_by(Message.position)
)


@dataclass(frozen=True)
class Seen:
    """The result of one check on one tree."""

    ticket_id: UUID | None
    phase: str
    check_digest: str
    tree: str
    passed: bool
    output_tail: str
    exit_code: int | None
    run_id: UUID


async def evidence(session: AsyncSession, job_id: UUID) -> Sequence[Seen]:
    """All evidence of this job, oldest first."""
    return await _seen(session, Evidence.job_id == job_id)


async def evidence_of(
    session: AsyncSession, job_id: UUID, checks: Set[str], trees: Set[str]
) -> Sequence[Seen]:
    """The evidence of checks, by their digests, on any of these trees, oldest first."""
    same = and_(Evidence.check_digest.in_(checks), Evidence.tree.in_(trees))
    return await _seen(session, and_(Evidence.job_id == job_id, same))


async def newest_failure(session: AsyncSession, job_id: UUID, check_digest: str) -> UUID | None:
    """The id of the newest evidence that this check failed."""
    found: UUID | None = await session.scalar(
        select(Evidence.id)
        .where(Evidence.job_id == job_id, Evidence.check_digest == check_digest, Evidence.passed.is_(False))
        .order_by(Evidence.created_at.desc(), Evidence.id.desc())
        .limit(1)
    )
    return found


async def _seen(session: AsyncSession, which: ColumnElement[bool]) -> Sequence[Seen]:
    rows = await session.execute(
        select(
            Evidence.ticket_id,
            Evidence.phase,
            Evidence.check_digest,
            Evidence.tree,
            Evidence.passed,
            Evidence.output_tail,
            Evidence.exit_code,
            Evidence.run_id,
        )
        .where(which)
        .order_by(Evidence.created_at, Evidence.id)
    )
    return [Seen(*row) for row in rows]
