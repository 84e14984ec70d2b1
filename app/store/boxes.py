"""What is stored about boxes: the name of this service on a shared engine, whether a client stopped the box,
how its app is started, and copies of jobs' repositories."""

from uuid import UUID, uuid4

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.workspace import Manifest
from app.store.statements import Statement, Statements
from app.store.tables import Bundle, Instance, Job

_NAME_IT = Statement(
    insert(Instance).values(single=True, name=bindparam("fresh", type_=Text)).on_conflict_do_nothing()
)
_NAME = Statement(select(Instance.name))


async def instance_name(statements: Statements) -> str:
    """The name: twelve hex digits, made by the first call."""
    await statements.row(_NAME_IT, {"fresh": uuid4().hex[:12]})
    row = await statements.row(_NAME, {})
    assert row is not None
    return str(row[0])


async def without_job(session: AsyncSession, job_ids: frozenset[UUID]) -> frozenset[UUID]:
    """Which of these ids belong to no job."""
    return job_ids - set(await session.scalars(select(Job.id).where(Job.id.in_(job_ids))))


async def is_stopped(session: AsyncSession, owner: UUID, job_id: UUID) -> bool | None:
    """Whether the client stopped the job's box; None when there is no such job."""
    stopped: bool | None = await session.scalar(
        select(Job.box_stopped).where(Job.id == job_id, Job.user_id == owner)
    )
    return stopped


async def manifest(session: AsyncSession, job_id: UUID) -> Manifest | None:
    """How the job's app is started; None if that is not stored yet."""
    kept = await session.scalar(select(Job.manifest).where(Job.id == job_id))
    return None if kept is None else Manifest.model_validate(kept)


async def keep_bundle(session: AsyncSession, job_id: UUID, content: bytes) -> None:
    kept = insert(Bundle).values(job_id=job_id, content=content)
    await session.execute(
        kept.on_conflict_do_update(
            index_elements=[Bundle.job_id],
            set_={"content": kept.excluded.content, "created_at": func.clock_timestamp()},
        )
    )


async def find_bundle(session: AsyncSession, job_id: UUID) -> bytes | None:
    found: bytes | None = await session.scalar(select(Bundle.content).where(Bundle.job_id == job_id))
    return found
