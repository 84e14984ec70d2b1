"""First answers, kept by user, method, path and key."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.store.statements import Statement, Statements, within
from app.store.tables import IdempotencyKey

KEPT = timedelta(hours=24)

SWEEP = 100
"""The most outdated keys that one call deletes."""


@dataclass(frozen=True)
class Once:
    """A request that must take effect once. `body_digest` tells whether a second request is the same;
    `status` is the status of its answer, unless it is refused."""

    user_id: UUID
    method: str
    path: str
    key: str
    body_digest: bytes
    status: int

    @property
    def lock(self) -> int:
        """The number of the advisory lock of this request."""
        name = f"{self.user_id} {self.method} {self.path} {self.key}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)


@dataclass(frozen=True)
class FirstAnswer:
    body_digest: bytes
    status: int
    body: bytes


async def take(session: AsyncSession, once: Once) -> bool:
    """Reserve the request for this transaction. False if another transaction has it, or if there is an
    answer."""
    if not await session.scalar(select(func.pg_try_advisory_xact_lock(once.lock))):
        return False
    return await find(await within(session), once) is None


_FIND = Statement(
    select(IdempotencyKey.body_digest, IdempotencyKey.status, IdempotencyKey.answer).where(
        IdempotencyKey.user_id == bindparam("user_id"),
        IdempotencyKey.method == bindparam("method"),
        IdempotencyKey.path == bindparam("path"),
        IdempotencyKey.key == bindparam("key"),
        IdempotencyKey.created_at > func.clock_timestamp() - KEPT,
    )
)


async def find(statements: Statements, once: Once) -> FirstAnswer | None:
    """The answer to the first of these requests; None if there is none, or if it is older than KEPT."""
    asked = {"user_id": once.user_id, "method": once.method, "path": once.path, "key": once.key}
    row = await statements.row(_FIND, asked)
    return None if row is None else FirstAnswer(*row)


async def keep(session: AsyncSession, once: Once, status: int, answer: bytes) -> None:
    """Store the answer, instead of an outdated one. Call it after `take`, in the same transaction."""
    new = insert(IdempotencyKey).values(
        user_id=once.user_id,
        method=once.method,
        path=once.path,
        key=once.key,
        body_digest=once.body_digest,
        status=status,
        answer=answer,
    )
    told = ("body_digest", "status", "answer", "created_at")
    await session.execute(
        new.on_conflict_do_update(index_elements=_KEY, set_={name: new.excluded[name] for name in told})
    )
    await forget_old(session)


async def forget_old(session: AsyncSession) -> None:
    """Drop keys older than KEPT."""
    old = select(*_KEY).where(IdempotencyKey.created_at < func.now() - KEPT)
    old = old.order_by(IdempotencyKey.created_at).limit(SWEEP).with_for_update(skip_locked=True)
    await session.execute(delete(IdempotencyKey).where(tuple_(*_KEY).in_(old)))


_KEY = (IdempotencyKey.user_id, IdempotencyKey.method, IdempotencyKey.path, IdempotencyKey.key)
