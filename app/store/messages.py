"""Messages as clients see them. Every query includes the owner."""

from uuid import UUID

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.store.answers import Listed, Listing, Page, as_text, made_of, one, stamp
from app.store.statements import Statement, Statements
from app.store.tables import Job, JobEvent, Message

MESSAGE = made_of(
    id=Message.id,
    job_id=Message.job_id,
    role=Message.role,
    sender=Message.sender,
    content=Message.content,
    metadata=Message.data,
    created_at=stamp(Message.created_at),
)
_ALONE = Statement(
    select(as_text(MESSAGE))
    .join(Job, Job.id == Message.job_id)
    .where(Message.id == bindparam("message_id"), Job.user_id == bindparam("owner"))
)
_OWNED = (
    select(Message.id, MESSAGE).join(Job, Job.id == Message.job_id).where(Job.user_id == bindparam("owner"))
)
_ALL = Listing(_OWNED, [Message.created_at, Message.id])
_OF_JOB = Listing(_OWNED.where(Message.job_id == bindparam("job_id")), [Message.position])


async def message(statements: Statements, owner: UUID, message_id: UUID) -> bytes | None:
    """A `Message`."""
    return await one(statements, _ALONE, message_id=message_id, owner=owner)


async def all_messages(statements: Statements, owner: UUID, job_id: UUID | None, page: Page) -> Listed:
    """`[Message]` of one job or of all: oldest first, by position."""
    if job_id is None:
        return await _ALL.read(statements, page, owner=owner)
    return await _OF_JOB.read(statements, page, owner=owner, job_id=job_id)


async def job_of(session: AsyncSession, owner: UUID, message_id: UUID) -> UUID | None:
    """The job a message is in."""
    query = select(Message.job_id).join(Job, Job.id == Message.job_id)
    found: UUID | None = await session.scalar(query.where(Message.id == message_id, Job.user_id == owner))
    return found


async def first_event(session: AsyncSession, message: Message) -> JobEvent | None:
    """The event that told the message."""
    return await session.get(JobEvent, (message.job_id, message.event_seq)) if message.event_seq else None
