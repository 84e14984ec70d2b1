"""What a socket asks before it is let in."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.tables import Job


async def owns_job(connection: AsyncConnection, user_id: UUID, job_id: UUID) -> bool:
    query = select(Job.id).where(Job.id == job_id, Job.user_id == user_id)
    return await connection.scalar(query) is not None
