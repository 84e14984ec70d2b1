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
    session: AsyncSession,
    user_id: UUID,
    method: str,
    path: str,
    key: str,
    digest: bytes,
    *,
    kept: timedelta,
    running: timedelta,
) -> bool:
    """Store a key as running; False when it is there already. One is as good as none whose answer is older
    than `kept`, or whose first request died: it has been running longer than `running`."""
    new = insert(IdempotencyKey).values(
        user_id=user_id, method=method, path=path, key=key, body_digest=digest
    )
    age = func.clock_timestamp() - IdempotencyKey.created_at
    query = new.on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "body_digest": new.excluded.body_digest,
            "created_at": new.excluded.created_at,
            "status": None,
            "answer": None,
        },
        where=or_(age > kept, and_(IdempotencyKey.status.is_(None), age > running)),
    )
    return await session.scalar(query.returning(IdempotencyKey.key)) is not None


async def find(
    session: AsyncSession, user_id: UUID, method: str, path: str, key: str
) -> IdempotencyKey | None:
    return await session.get(IdempotencyKey, (user_id, method, path, key))


async def forget_old(session: AsyncSession, kept: timedelta) -> None:
    """Drop keys older than `kept`."""
    old = select(*_KEY).where(IdempotencyKey.created_at < func.now() - kept)
    old = old.order_by(IdempotencyKey.created_at).limit(SWEEP).with_for_update(skip_locked=True)
    await session.execute(delete(IdempotencyKey).where(tuple_(*_KEY).in_(old)))


_KEY = (IdempotencyKey.user_id, IdempotencyKey.method, IdempotencyKey.path, IdempotencyKey.key)
