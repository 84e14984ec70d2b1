"""What a client does with the data of an app: copy them now, put a copy back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from app.actions import data_copies
from app.actions.going_live import undo
from app.actions.workspaces import app_box, manifest_of, refuse_while_running
from app.domain.copies import COPY_BYTES, Cause
from app.domain.errors import NOT_FOUND, Conflict, NotFound, Refusal, TooLarge, Unavailable
from app.domain.workspace import Manifest
from app.resources import Resources
from app.runtime.live_app import AppHeld
from app.runtime.workspace import RuntimeProblem, Workspace
from app.store import boxes, rows
from app.store import data_copies as copy_rows
from app.store.tables import GoingLive, Job
from app.unit import Unit

AT_ONCE = 2
WITHIN_S = 240.0


@dataclass(frozen=True)
class Copying:
    """`most`: the bytes of a stored copy. `turns`: how many copies a process makes or puts back at a time for
    clients, since each holds a connection meanwhile."""

    most: int = COPY_BYTES
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Raises Unavailable after `WITHIN_S`. A change that was begun is undone by a worker then."""
        try:
            async with asyncio.timeout(WITHIN_S), self.turns:
                yield
        except TimeoutError:
            raise Unavailable("The app's data could not be copied in time. Try again later.") from None


async def make(resources: Resources, copying: Copying, user_id: UUID, job_id: UUID) -> UUID:
    """Store a copy of the data of the job's app, which runs on. Returns its id. Raises what `app_box` raises;
    AppHeld; Conflict `job_running`, `workspace_full`; TooLarge; Unavailable."""
    async with copying.turn(), app_box(resources, user_id, job_id) as app, resources.unit() as unit:
        await _take(unit, user_id, job_id)
        found = await app.head()
        commit = None if found is None else found.sha
        return await _copy(resources, copying, unit, app, job_id, commit, Cause.ASKED)


async def restore(resources: Resources, copying: Copying, user_id: UUID, job_id: UUID, copy_id: UUID) -> UUID:
    """Make the data of the job's app those of a copy. Returns the id of a copy of those before. If it
    does not work, nothing has changed. Raises what `make` raises; NotFound; Conflict `no_app`."""
    async with copying.turn(), app_box(resources, user_id, job_id), resources.unit() as unit:
        # The job's row is locked until the data are put back: no run begins, and no worker takes the change
        # for one that nobody goes on with.
        job = await _take(unit, user_id, job_id)
        if await copy_rows.find(unit.session, user_id, job_id, copy_id) is None:
            raise NotFound(NOT_FOUND)
        kept = None if job.manifest is None else Manifest.model_validate(job.manifest)
        app = await resources.runtime.attach(job_id, fence=await boxes.next_fence(unit.session))
        try:
            return await _restore(resources, copying, app, job_id, copy_id, kept)
        finally:
            await app.close()


async def _restore(
    resources: Resources,
    copying: Copying,
    app: Workspace,
    job_id: UUID,
    copy_id: UUID,
    kept: Manifest | None,
) -> UUID:
    found = await app.head()
    if found is None:
        raise Conflict("There is no app yet whose data could be put back.", code="no_app")
    is_started = (await app.app_status()).state != "none"
    manifest = (kept or await manifest_of(app)) if is_started else None
    going = GoingLive(job_id=job_id, run_id=None, old=found.sha, new=found.sha, copied=False)
    async with resources.unit() as unit:
        unit.session.add(going)
    try:
        await app.hold()
        async with resources.unit() as unit:
            before = await _copy(
                resources, copying, unit, app, job_id, found.sha, Cause.RESTORE, spared=copy_id
            )
            going = await _row(unit, job_id)
            going.copied, going.copy_id = True, before
        await app.take_in(data_copies.read(resources, None, job_id, copy_id))
        await app.put_back(found.sha)
        if manifest is not None:
            await app.start_app(manifest)
    except (RuntimeProblem, Refusal):
        await app.drop_aside()  # it may be the wrong copy: what is put back is the stored one
        await undo(resources, app, going, manifest)
        await _forget(resources, job_id)
        raise
    async with resources.unit() as unit:
        (await _row(unit, job_id)).recorded_at = await rows.now(unit.session)
    await app.release()
    await app.drop_aside()
    await _forget(resources, job_id)
    return before


async def _take(unit: Unit, user_id: UUID, job_id: UUID) -> Job:
    """Lock the job's row, if nobody is at work on the app."""
    job = await unit.take(job_id, user_id)
    await refuse_while_running(unit, user_id, job_id)
    if await boxes.going_live(unit.session, job_id) is not None:
        raise AppHeld
    return job


async def _copy(
    resources: Resources,
    copying: Copying,
    unit: Unit,
    app: Workspace,
    job_id: UUID,
    commit: str | None,
    cause: Cause,
    *,
    spared: UUID | None = None,
) -> UUID:
    copied = await app.set_aside(commit)
    archive = await data_copies.keep_aside(resources, job_id, app, copied, copying.most)
    await app.drop_aside()
    if archive is None:
        raise TooLarge(
            f"The app's data have more than {copying.most >> 20} MiB, so no copy of them can be stored."
        )
    return await data_copies.note(
        unit, job_id, archive, cause=cause, commit=commit, entries=copied.entries, spared=spared
    )


async def _row(unit: Unit, job_id: UUID) -> GoingLive:
    row = await boxes.going_live(unit.session, job_id)
    assert row is not None, "it is there until the app is released"
    return row


async def _forget(resources: Resources, job_id: UUID) -> None:
    async with resources.statements() as statements:
        await boxes.settled(statements, job_id)
