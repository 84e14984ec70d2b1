"""Copies of the data of apps. Pieces are stored one by one, the copy when all of them are."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import LargeBinary, Uuid, bindparam, cast, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.copies import Cause, Copy
from app.store.answers import array_of, as_text, made_of, one, stamp
from app.store.statements import Statement, Statements
from app.store.tables import DataCopy, DataPiece, Job

LEFT_ALONE = timedelta(hours=1)
"""How long a piece without a copy stays: its copy may be in the making."""

_JOB = select(
    Job.id,
    cast(bindparam("digest"), LargeBinary),
    cast(bindparam("content"), LargeBinary),
).where(Job.id == bindparam("job_id", type_=Uuid))
_PIECE = Statement(
    insert(DataPiece)
    .from_select(["job_id", "digest", "content"], _JOB.with_for_update(read=True, key_share=True))
    .on_conflict_do_update(
        index_elements=[DataPiece.job_id, DataPiece.digest], set_={"used_at": func.clock_timestamp()}
    )
    .returning(DataPiece.digest)
)
_CONTENT = Statement(
    select(DataPiece.content).where(
        DataPiece.job_id == bindparam("job_id", type_=Uuid),
        DataPiece.digest == bindparam("digest", type_=LargeBinary),
    )
)


_SHOWN = made_of(
    id=DataCopy.id,
    cause=DataCopy.cause,
    commit=func.coalesce(DataCopy.commit, literal("")),
    size=DataCopy.size,
    entries=DataCopy.entries,
    created_at=stamp(DataCopy.created_at),
)
_LIST = Statement(
    select(
        as_text(
            select(array_of(_SHOWN, [DataCopy.created_at.desc(), DataCopy.id.desc()]))
            .where(DataCopy.job_id == Job.id)
            .scalar_subquery()
        )
    ).where(Job.id == bindparam("job_id", type_=Uuid), Job.user_id == bindparam("owner", type_=Uuid))
)
_ONE = Statement(
    select(as_text(_SHOWN))
    .join(Job, Job.id == DataCopy.job_id)
    .where(DataCopy.id == bindparam("copy_id", type_=Uuid), Job.user_id == bindparam("owner", type_=Uuid))
)


async def listed(statements: Statements, owner: UUID, job_id: UUID) -> bytes | None:
    """The copies of a job as JSON, newest first; None if there is no such job."""
    return await one(statements, _LIST, job_id=job_id, owner=owner)


async def shown(statements: Statements, owner: UUID, copy_id: UUID) -> bytes | None:
    """One copy as JSON."""
    return await one(statements, _ONE, copy_id=copy_id, owner=owner)


async def store_piece(statements: Statements, job_id: UUID, content: bytes) -> bytes | None:
    """Store a piece, unless the job has it, and return its digest; None if there is no such job."""
    digest = hashlib.sha256(content).digest()
    row = await statements.row(_PIECE, {"job_id": job_id, "digest": digest, "content": content})
    return None if row is None else digest


async def piece(statements: Statements, job_id: UUID, digest: bytes) -> bytes | None:
    """The content of a piece; None if it is gone with its copy."""
    row = await statements.row(_CONTENT, {"job_id": job_id, "digest": digest})
    return None if row is None else bytes(row[0])


async def find(session: AsyncSession, owner: UUID | None, job_id: UUID, copy_id: UUID) -> DataCopy | None:
    """A copy of a job, if the job is `owner`'s; a worker gives none."""
    query = select(DataCopy).join(Job, Job.id == DataCopy.job_id)
    mine = [] if owner is None else [Job.user_id == owner]
    found: DataCopy | None = await session.scalar(
        query.where(DataCopy.job_id == job_id, DataCopy.id == copy_id, *mine)
    )
    return found


async def copies(session: AsyncSession, job_id: UUID) -> Sequence[Copy[UUID]]:
    """The copies of a job, newest first."""
    found = await session.execute(
        select(DataCopy.id, DataCopy.cause, DataCopy.created_at)
        .where(DataCopy.job_id == job_id)
        .order_by(DataCopy.created_at.desc(), DataCopy.id)
    )
    return [Copy(row.id, Cause(row.cause), row.created_at) for row in found]


async def newest_pieces(session: AsyncSession, job_id: UUID) -> list[bytes] | None:
    """The digests of the pieces of the newest copy; None if there is no copy."""
    pieces: list[bytes] | None = await session.scalar(
        select(DataCopy.pieces)
        .where(DataCopy.job_id == job_id)
        .order_by(DataCopy.created_at.desc(), DataCopy.id)
        .limit(1)
    )
    return pieces


async def same_of_run(
    session: AsyncSession, job_id: UUID, pieces: Sequence[bytes], run_began: datetime
) -> UUID | None:
    """The last copy before a version of the run that `run_began` went live, if it has these pieces."""
    newest = (
        await session.execute(
            select(DataCopy.id, DataCopy.pieces)
            .where(
                DataCopy.job_id == job_id,
                DataCopy.cause == Cause.GOING_LIVE,
                DataCopy.created_at >= run_began,
            )
            .order_by(DataCopy.created_at.desc(), DataCopy.id)
            .limit(1)
        )
    ).one_or_none()
    return newest.id if newest is not None and newest.pieces == list(pieces) else None


async def drop(session: AsyncSession, job_id: UUID, ids: Sequence[UUID]) -> None:
    """Delete copies, and the pieces that no copy needs any more."""
    await session.execute(delete(DataCopy).where(DataCopy.job_id == job_id, DataCopy.id.in_(ids)))
    needed = select(func.unnest(DataCopy.pieces)).where(DataCopy.job_id == job_id)
    await session.execute(
        delete(DataPiece).where(
            DataPiece.job_id == job_id,
            DataPiece.used_at < func.clock_timestamp() - LEFT_ALONE,
            DataPiece.digest.not_in(needed),
        )
    )
