"""Copies of the data in PostgreSQL: whole, in pieces that are stored once, and no more of them than
needed."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select, update
from uuid_utils.compat import uuid7

from app.actions import data_copies, jobs
from app.domain.copies import LAST, PIECE, Cause
from app.domain.errors import NotFound, TooLarge
from app.store.data_copies import LEFT_ALONE
from app.store.tables import DataCopy, DataPiece
from tests.helpers.house import House

MOST = 64 * PIECE


async def parts(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def keep(house: House, job_id: UUID, *pieces: bytes, cause: Cause = Cause.ASKED) -> UUID:
    archive = await data_copies.store(house.resources, job_id, parts(*pieces), MOST)
    async with house.resources.unit() as unit:
        await unit.take(job_id, house.user_id)
        return await data_copies.note(
            unit, job_id, archive, cause=cause, commit="c" * 40, entries=len(pieces)
        )


async def read(house: House, job_id: UUID, copy_id: UUID) -> bytes:
    pieces = data_copies.read(house.resources, house.user_id, job_id, copy_id)
    return b"".join([piece async for piece in pieces])


async def count(house: House, table: type[DataCopy | DataPiece], job_id: UUID) -> int:
    async with house.resources.look() as session:
        found = await session.scalar(select(func.count()).where(table.job_id == job_id))
    return int(found or 0)


async def age_pieces(house: House) -> None:
    async with house.resources.unit() as unit:
        past = func.clock_timestamp() - LEFT_ALONE - timedelta(seconds=1)
        await unit.session.execute(update(DataPiece).values(used_at=past))


def rows(*fillings: int) -> list[bytes]:
    return [bytes([filling]) * PIECE for filling in fillings]


async def test_a_copy_comes_back_whole_and_equal_pieces_are_stored_once(house: House) -> None:
    job_id = await house.create()
    first, second = await keep(house, job_id, *rows(1, 2)), await keep(house, job_id, *rows(1, 2, 3), b"end")
    assert await read(house, job_id, first) == b"".join(rows(1, 2))
    assert await read(house, job_id, second) == b"".join([*rows(1, 2, 3), b"end"])
    assert await count(house, DataPiece, job_id) == 4
    assert await read(house, job_id, await keep(house, job_id)) == b""


async def test_pieces_go_with_the_last_copy_that_needs_them(house: House) -> None:
    job_id = await house.create()
    old = await keep(house, job_id, *rows(1, 2))
    await data_copies.store(house.resources, job_id, parts(*rows(9)), MOST)  # and its maker died
    await age_pieces(house)
    making = await data_copies.store(house.resources, job_id, parts(*rows(2, 3)), MOST)
    for _ in range(LAST):
        await keep(house, job_id, *rows(2))
    assert await count(house, DataCopy, job_id) == LAST
    with pytest.raises(NotFound):
        await read(house, job_id, old)
    async with house.resources.look() as session:
        kept = set(await session.scalars(select(DataPiece.digest).where(DataPiece.job_id == job_id)))
    assert kept == set(making.pieces), "those of a copy that is being made are left alone"


async def test_no_copy_is_larger_than_allowed_and_none_is_made_for_nobody(house: House) -> None:
    job_id = await house.create()
    with pytest.raises(TooLarge, match="more than 1 MiB"):
        await data_copies.store(house.resources, job_id, parts(*rows(1, 2)), PIECE)
    with pytest.raises(NotFound):
        await data_copies.store(house.resources, uuid7(), parts(*rows(1)), MOST)


async def test_a_copy_is_its_owners_and_goes_with_its_job(house: House) -> None:
    job_id, other = await house.create(), await house.create()
    made = await keep(house, job_id, *rows(1))
    for owner, job in ((uuid7(), job_id), (house.user_id, other)):
        with pytest.raises(NotFound):
            await anext(data_copies.read(house.resources, owner, job, made))
    await jobs.delete_job(house.resources, house.user_id, job_id)
    assert [await count(house, table, job_id) for table in (DataCopy, DataPiece)] == [0, 0]
