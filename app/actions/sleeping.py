"""Copies of the data of apps whose box has gone to sleep.

Where a box sleeps, its data do not change. So a job is looked at once after its box was awake, and at most
once an hour. A look reads the data while nobody uses the box, makes no copy beside them, and gives way to
whoever wakes the app. A worker that dies meanwhile leaves a job that is looked at again an hour later.
"""

import asyncio
from uuid import UUID

import structlog

from app.actions import data_copies
from app.domain.copies import Cause
from app.domain.errors import NotFound, Refusal, TooLarge
from app.resources import Resources
from app.runtime.live_app import DataCopy as Copied
from app.runtime.workspace import NoPlace, RuntimeProblem, WorkspaceBusy, WorkspaceMissing
from app.store import boxes, data_looks
from app.store import data_copies as copy_rows
from app.unit import Unit

log = structlog.get_logger()

WITHIN_S = 240.0


async def copy_sleeping(resources: Resources, most: int) -> int:
    """Note whose box is awake, and look at the data of those who sleep; a copy has at most `most` bytes.
    Returns how many copies were made. Many processes may do this at once."""
    awake = await resources.runtime.awake()
    async with resources.unit() as unit:
        await data_looks.seen_awake(unit.session, awake)
    async with resources.glance() as session:
        waiting = await data_looks.due(session)
    return sum([await _look_at(resources, job_id, most) for job_id in waiting if job_id not in awake])


async def _look_at(resources: Resources, job_id: UUID, most: int) -> bool:
    """Returns whether a copy was made."""
    async with resources.unit() as unit:
        seen_at = await data_looks.begin(unit.session, job_id)
    if seen_at is None:
        return False
    made = False
    try:
        async with asyncio.timeout(WITHIN_S):
            made = await _copy(resources, job_id, most)
    except (NoPlace, WorkspaceBusy):
        async with resources.unit() as unit:
            await data_looks.put_off(unit.session, job_id)
        return False
    except (WorkspaceMissing, TooLarge, NotFound) as problem:
        log.info("sleep.no_copy", job=str(job_id), problem=str(problem))
    except (RuntimeProblem, Refusal, TimeoutError) as problem:
        log.warning("sleep.not_copied", job=str(job_id), problem=str(problem))
        return False
    async with resources.unit() as unit:
        await data_looks.done(unit.session, job_id, seen_at)
    return made


async def _copy(resources: Resources, job_id: UUID, most: int) -> bool:
    counted: list[Copied] = []
    app = await resources.runtime.visit(job_id)
    try:
        head = await app.head()
        commit = None if head is None else head.sha
        read = app.read_unused(commit, most, counted.append)
        archive = await data_copies.store(resources, job_id, read, most)
    finally:
        await app.close()
    async with resources.unit() as unit:
        await unit.take_any(job_id)
        if await boxes.going_live(unit.session, job_id) is not None or await boxes.is_half_made(
            unit.session, job_id
        ):
            raise WorkspaceBusy("the app is just being changed")
        return await _note(unit, job_id, archive, counted[0].entries, commit)


async def _note(
    unit: Unit, job_id: UUID, archive: data_copies.Archive, entries: int, commit: str | None
) -> bool:
    newest = await copy_rows.newest_pieces(unit.session, job_id)
    if newest == archive.pieces or (newest is None and not entries):
        return False
    copy_id = await data_copies.note(unit, job_id, archive, cause=Cause.SLEEP, commit=commit, entries=entries)
    log.info("sleep.copied", job=str(job_id), copy=str(copy_id), bytes=archive.size)
    return True
