"""Preview addresses."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary, any_, bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.store.statements import Statement, Statements
from app.store.tables import Preview, RefreshFamily


@dataclass(frozen=True)
class Seen:
    """The job and the start of its app that a valid address belongs to."""

    job_id: UUID
    app_began: datetime


_VALID = (Preview.expires_at > func.clock_timestamp(), RefreshFamily.revoked_at.is_(None))
_FIND = Statement(
    select(Preview.job_id, Preview.app_began)
    .join(RefreshFamily, RefreshFamily.id == Preview.family_id)
    .where(Preview.digest == bindparam("digest"), *_VALID)
)
_STILL_VALID = Statement(
    select(Preview.digest)
    .join(RefreshFamily, RefreshFamily.id == Preview.family_id)
    .where(Preview.digest == any_(bindparam("digests", type_=ARRAY(LargeBinary))), *_VALID)
)


async def find(statements: Statements, digest: bytes) -> Seen | None:
    """None if the address is unknown or expired, or its session or job has ended."""
    row = await statements.row(_FIND, {"digest": digest})
    return None if row is None else Seen(*row)


async def still_valid(statements: Statements, digests: Collection[bytes]) -> frozenset[bytes]:
    """Those of the given ones that `find` would find."""
    return frozenset(row[0] for row in await statements.rows(_STILL_VALID, {"digests": list(digests)}))


async def newest(
    session: AsyncSession, job_id: UUID, family_id: UUID, app_began: datetime, until: datetime
) -> Preview | None:
    """The last address of this session for this start of the app, if it is valid beyond `until`."""
    query = (
        select(Preview)
        .where(
            Preview.job_id == job_id,
            Preview.family_id == family_id,
            Preview.app_began == app_began,
            Preview.expires_at > until,
        )
        .order_by(Preview.created_at.desc())
        .limit(1)
    )
    return await session.scalar(query)


async def forget_void(session: AsyncSession, job_id: UUID, app_began: datetime) -> None:
    """Remove those that have expired, and those of earlier starts of the app."""
    void = or_(Preview.expires_at < func.clock_timestamp(), Preview.app_began != app_began)
    await session.execute(delete(Preview).where(Preview.job_id == job_id, void))
