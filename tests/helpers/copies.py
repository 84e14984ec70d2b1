"""The stored copies of an app's data, what is in them, and when data are looked at again."""

import io
import tarfile
from uuid import UUID

from sqlalchemy import func, select, update

from app.actions import data_copies
from app.resources import Resources
from app.store.data_looks import EVERY
from app.store.tables import DataCopy, DataLook
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


async def an_hour_passes(resources: Resources) -> None:
    """Data that were looked at may be looked at again."""
    async with resources.unit() as unit:
        past = func.clock_timestamp() - EVERY
        await unit.session.execute(update(DataLook).values(looked_at=past))
