"""The answers and tool results of a job's runs, in order, for a tape. Only the operator reads them, so the
queries include no owner."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.conversation import STAGE_REQUIREMENTS
from app.store.tables import Job, Message, Run, RunStep

AT_ONCE = 50


@dataclass(frozen=True)
class Told:
    """A job as its client sees it: the idea, the chat after it, the wishes of continuations, and how it
    ended."""

    idea: str
    said: list[str]
    wishes: list[str]
    status: str
    failure_code: str | None
    verification: str | None


@dataclass(frozen=True)
class Step:
    """A step's row; `kind` is `model` or `tool`."""

    key: str
    kind: str
    agent: str
    model: str
    asked: str
    payload: str


async def told(session: AsyncSession, job_id: UUID) -> Told | None:
    """None when there is no such job."""
    found = select(Job.initial_prompt, Job.status, Job.failure_code, Job.verification).where(Job.id == job_id)
    job = (await session.execute(found)).one_or_none()
    if job is None:
        return None
    chat = (
        select(Message.content)
        .where(Message.job_id == job_id, Message.role == "user")
        .where(Message.data["stage"].as_string() == STAGE_REQUIREMENTS)
        .order_by(Message.position)
    )
    wishes = select(Run.requirements).where(Run.job_id == job_id, Run.requirements != "").order_by(Run.number)
    return Told(
        idea=job.initial_prompt,
        said=list((await session.scalars(chat)).all())[1:],
        wishes=list((await session.scalars(wishes)).all()),
        status=job.status,
        failure_code=job.failure_code,
        verification=job.verification,
    )


async def steps(session: AsyncSession, job_id: UUID) -> AsyncIterator[Step]:
    """The answers and results of all runs, in order; a few rows are held at once."""
    query = (
        select(RunStep.key, RunStep.kind, RunStep.agent, RunStep.model, RunStep.asked, RunStep.payload)
        .join(Run, Run.id == RunStep.run_id)
        .where(Run.job_id == job_id, RunStep.kind.in_(("model", "tool")))
        .order_by(Run.number, RunStep.id)
        .execution_options(yield_per=AT_ONCE)
    )
    async for row in await session.stream(query):
        yield Step(*row)
