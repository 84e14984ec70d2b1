"""Jobs as clients see them. Every query for a client includes the owner."""

from uuid import UUID

from sqlalchemy import ScalarSelect, bindparam, select

from app.store import events
from app.store.answers import Listed, Listing, Page, array_of, as_text, made_of, one, stamp
from app.store.messages import MESSAGE
from app.store.statements import Statement, Statements
from app.store.tables import Job, Message, Step

_JOB = {
    "id": Job.id,
    "initial_prompt": Job.initial_prompt,
    "prompt": Job.prompt,
    "requirements_summary": Job.requirements_summary,
    "status": Job.status,
    "error_message": Job.error_message,
    "failure_code": Job.failure_code,
    "verification": Job.verification,
    "is_paused": Job.is_paused,
    "waiting_for": Job.waiting_for,
    "created_at": stamp(Job.created_at),
    "updated_at": stamp(Job.updated_at),
    "last_seq": Job.last_seq,
    "usage": made_of(
        input_tokens=Job.input_tokens,
        output_tokens=Job.output_tokens,
        cost_usd=Job.cost_usd,
        model_calls=Job.model_calls,
    ),
}
_STEP = made_of(
    id=Step.id,
    agent_name=Step.agent_name,
    message=Step.message,
    order=Step.order,
    created_at=stamp(Step.created_at),
)


def _steps() -> ScalarSelect[str]:
    return select(array_of(_STEP, [Step.order])).where(Step.job_id == Job.id).scalar_subquery()


def _messages() -> ScalarSelect[str]:
    return select(array_of(MESSAGE, [Message.position])).where(Message.job_id == Job.id).scalar_subquery()


_MINE = (Job.id == bindparam("job_id"), Job.user_id == bindparam("owner"))
_ALONE = Statement(select(as_text(made_of(**_JOB))).where(*_MINE))
_WITH_ALL = Statement(select(as_text(made_of(**_JOB, steps=_steps(), messages=_messages()))).where(*_MINE))
_ALL = Listing(
    select(Job.id, made_of(**_JOB)).where(Job.user_id == bindparam("owner")), [Job.id], newest_first=True
)
_EXISTS = Statement(select(Job.id).where(*_MINE))


async def job(statements: Statements, owner: UUID, job_id: UUID) -> bytes | None:
    """A `Job`."""
    return await one(statements, _ALONE, job_id=job_id, owner=owner)


async def detail(statements: Statements, owner: UUID, job_id: UUID) -> bytes | None:
    """A `JobDetail`: one statement, so one snapshot with its `last_seq`."""
    return await one(statements, _WITH_ALL, job_id=job_id, owner=owner)


async def all_jobs(statements: Statements, owner: UUID, page: Page) -> Listed:
    """`[Job]`, newest first."""
    return await _ALL.read(statements, page, owner=owner)


async def exists(statements: Statements, owner: UUID, job_id: UUID) -> bool:
    """Whether this owner has such a job."""
    return await statements.row(_EXISTS, {"job_id": job_id, "owner": owner}) is not None


async def event_page(
    statements: Statements, owner: UUID, job_id: UUID, since: int, limit: int
) -> tuple[bytes, int | None] | None:
    """The events after `since` and, when there are more, the number of the last one here; None when there is
    no such job."""
    if not await exists(statements, owner, job_id):
        return None
    found = await events.after(statements, job_id, since, limit + 1)
    more = len(found) > limit
    found = found[:limit]
    body = f"[{','.join(event.payload for event in found)}]".encode()
    return body, found[-1].seq if more else None
