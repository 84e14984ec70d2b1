"""First answers, kept by user, method, path and key."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.store.tables import IdempotencyKey

SWEEP = 100
"""At most so many outdated keys go in passing."""


async def claim(
    session: AsyncSession, user_id: UUID, method: str, path: str, key: str, digest: bytes
) -> bool:
    """Store a key as running; False when it is there already."""
    query = insert(IdempotencyKey).values(
        user_id=user_id, method=method, path=path, key=key, body_digest=digest
    )
    found = await session.scalar(query.on_conflict_do_nothing().returning(IdempotencyKey.key))
    return found is not None


async def find(
    session: AsyncSession, user_id: UUID, method: str, path: str, key: str
) -> IdempotencyKey | None:
    return await session.get(IdempotencyKey, (user_id, method, path, key))


async def forget_old(session: AsyncSession, kept: timedelta, running: timedelta) -> None:
    """Drop answers older than `kept`, and keys whose first request died: it has been running longer than
    `running`."""
    now = func.clock_timestamp()
    key = (IdempotencyKey.user_id, IdempotencyKey.method, IdempotencyKey.path, IdempotencyKey.key)
    stuck = and_(IdempotencyKey.status.is_(None), IdempotencyKey.created_at < now - running)
    old = select(*key).where(or_(IdempotencyKey.created_at < now - kept, stuck))
    old = old.limit(SWEEP).with_for_update(skip_locked=True)
    await session.execute(delete(IdempotencyKey).where(tuple_(*key).in_(old)))
