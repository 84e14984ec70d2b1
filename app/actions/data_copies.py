"""Stores the copies of an app's data that boxes give, and gives them back."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from app.domain.copies import Cause, Cutter, superfluous
from app.domain.errors import NOT_FOUND, NotFound, TooLarge
from app.resources import Resources
from app.runtime.live_app import DataCopy as Copied
from app.runtime.workspace import Workspace
from app.store import data_copies, rows
from app.store.tables import DataCopy
from app.unit import Unit

log = structlog.get_logger()

GONE = "This copy of the data is not there any more."


@dataclass
class Archive:
    """A tar archive whose pieces are stored: its size in bytes, and the digests of the pieces."""

    size: int = 0
    pieces: list[bytes] = field(default_factory=list)


async def store(resources: Resources, job_id: UUID, archive: AsyncIterator[bytes], most: int) -> Archive:
    """Store the pieces of an archive; `note` makes a copy of them. Raises TooLarge if it has more than `most`
    bytes, NotFound if there is no such job."""
    cutter, done = Cutter(), Archive()
    async for part in archive:
        done.size += len(part)
        if done.size > most:
            raise TooLarge(f"The app's data have more than {most >> 20} MiB.")
        await _store_each(resources, job_id, cutter.feed(part), done)
    await _store_each(resources, job_id, cutter.rest(), done)
    return done


async def _store_each(resources: Resources, job_id: UUID, pieces: Iterator[bytes], done: Archive) -> None:
    for piece in pieces:
        async with resources.statements() as statements:
            digest = await data_copies.store_piece(statements, job_id, piece)
        if digest is None:
            raise NotFound(NOT_FOUND)
        done.pieces.append(digest)


async def note(
    unit: Unit,
    job_id: UUID,
    archive: Archive,
    *,
    cause: Cause,
    commit: str | None,
    entries: int,
    spared: UUID | None = None,
    run_began: datetime | None = None,
) -> UUID:
    """Make a copy of an archive with so many `entries`, while the job is locked, and delete the copies that
    it makes superfluous, except `spared`. `run_began` is given for copies before versions of a run go live:
    if the data are those of the last one of this run, that is the copy. Returns its id."""
    if run_began is not None:
        same = await data_copies.same_of_run(unit.session, job_id, archive.pieces, run_began)
        if same is not None:
            return same
    copy = DataCopy(
        id=uuid7(),
        job_id=job_id,
        cause=cause,
        commit=commit,
        size=archive.size,
        entries=entries,
        pieces=archive.pieces,
    )
    unit.session.add(copy)
    await unit.session.flush()
    there = await data_copies.copies(unit.session, job_id)
    now = await rows.now(unit.session)
    gone = [found for found in superfluous(there, now, run_began) if found != spared]
    await data_copies.drop(unit.session, job_id, gone)
    return copy.id


async def keep_aside(
    resources: Resources, job_id: UUID, app: Workspace, copied: Copied, most: int
) -> Archive | None:
    """Store the pieces of the copy that lies aside in `app`. None if it is too large: then the one aside is
    the only one. Raises what `store` and the box raise."""
    if copied.bytes > most:
        return None
    try:
        return await store(resources, job_id, app.aside(), most)
    except TooLarge:
        return None


async def bring_newest(resources: Resources, job_id: UUID, app: Workspace, commit: str) -> None:
    """Make the data of an app whose box was lost or is half-made those of the newest stored copy; without
    one, there are none."""
    async with resources.look() as session:
        there = await data_copies.copies(session, job_id)
    if there:
        log.warning("data.from_database", job=str(job_id), copy=str(there[0].id))
    await app.take_in(read(resources, None, job_id, there[0].id) if there else _nothing())
    await app.put_back(commit)
    await app.drop_aside()


async def _nothing() -> AsyncIterator[bytes]:
    """The archive of no data."""
    yield bytes(1024)


async def read(resources: Resources, owner: UUID | None, job_id: UUID, copy_id: UUID) -> AsyncIterator[bytes]:
    """The archive of a copy, piece by piece; a worker gives no `owner`. Raises NotFound."""
    async with resources.glance() as session:
        found = await data_copies.find(session, owner, job_id, copy_id)
    if found is None:
        raise NotFound(NOT_FOUND)
    for digest in found.pieces:
        async with resources.statements() as statements:
            piece = await data_copies.piece(statements, job_id, digest)
        if piece is None:
            raise NotFound(GONE)
        yield piece
