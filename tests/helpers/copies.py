"""The stored copies of an app's data, and what is in them."""

import io
import tarfile
from uuid import UUID

from sqlalchemy import select

from app.actions import data_copies
from app.store.tables import DataCopy
from tests.helpers.house import House


async def copies_of(house: House, job_id: UUID) -> list[DataCopy]:
    """Oldest first."""
    async with house.resources.look() as session:
        query = select(DataCopy).where(DataCopy.job_id == job_id).order_by(DataCopy.created_at)
        return list(await session.scalars(query))


async def content(house: House, copy: DataCopy, path: str) -> str:
    pieces = data_copies.read(house.resources, house.user_id, copy.job_id, copy.id)
    whole = b"".join([piece async for piece in pieces])
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        member = archive.extractfile(path)
        assert member is not None
        return member.read().decode()
