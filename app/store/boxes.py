"""What is stored about boxes: the name of this service on a shared engine, and copies of jobs'
repositories."""

from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.store.tables import Bundle, Instance, Job


async def instance_name(connection: AsyncConnection) -> str:
    """The name: twelve hex digits, made by the first call."""
    fresh = insert(Instance).values(single=True, name=uuid4().hex[:12])
    await connection.execute(fresh.on_conflict_do_nothing())
    return (await connection.execute(select(Instance.name))).scalar_one()


async def without_job(connection: AsyncConnection, job_ids: frozenset[UUID]) -> frozenset[UUID]:
    """Which of these ids belong to no job."""
    return job_ids - set(await connection.scalars(select(Job.id).where(Job.id.in_(job_ids))))


async def keep_bundle(session: AsyncSession, job_id: UUID, content: bytes) -> None:
    kept = insert(Bundle).values(job_id=job_id, content=content)
    await session.execute(
        kept.on_conflict_do_update(
            index_elements=[Bundle.job_id],
            set_={"content": kept.excluded.content, "created_at": func.clock_timestamp()},
        )
    )


async def find_bundle(connection: AsyncConnection, job_id: UUID) -> bytes | None:
    found: bytes | None = await connection.scalar(select(Bundle.content).where(Bundle.job_id == job_id))
    return found
