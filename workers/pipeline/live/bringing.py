"""Brings the client's app to a commit: hold, copy its data, switch its files, start it twice, record,
release.

`going_live` has a row from before the app is held until it is released. A worker that finds one begins again
from the commit and the data of before, never from what an earlier one has left. From the end of the app until
its release no client can make an entry, so no entry is lost when the change is undone. It is never undone
after it was recorded.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

from app.actions import data_copies
from app.actions.going_live import bring_files_back, undo
from app.actions.making import make_app
from app.domain.copies import Cause
from app.domain.errors import Refusal
from app.domain.workspace import Manifest
from app.runtime.live_app import Switched
from app.runtime.to_its_end import to_its_end
from app.runtime.workspace import Commit, Workspace
from app.runtime.worlds import World
from app.store import boxes, runs
from app.store import data_copies as copy_rows
from app.store.tables import GoingLive
from workers.context import Change, Context
from workers.pipeline.box import attached_to, make_whole
from workers.pipeline.live.starting import answers_twice

Record = Callable[[Change, Switched], Awaitable[None]]
"""Writes that the commit is live, in the unit that makes it so."""


END_S = 5.0
"""Seconds that a cancelled run gets to record its change and release the app."""

ADVICE = "Continue the job and say so."
NO_ROOM = (
    "There is no room in the app's box, where a copy of its data is made before anything is changed.",
    "Delete what is not needed any more in the app, then retry.",
)


class NotLive(Exception):
    """The app is as it was before. The message says why, `advice` what the client can do."""

    def __init__(self, reason: str, advice: str = ADVICE) -> None:
        super().__init__(reason)
        self.advice = advice


async def bring(
    context: Context,
    bench: Workspace,
    new: Commit,
    manifest: Manifest,
    record: Record,
    *,
    strict: bool = True,
) -> None:
    """Bring the app to the commit `new` of the bench, and start it by `manifest`. If it is `strict`, an app
    that does not answer twice is brought back. Raises NotLive, what `attached_to` raises."""
    async with context.glance() as session:
        earlier = await boxes.going_live(session, context.job_id)
    if earlier is not None and not _is_ours(context, earlier, new):
        await bring_back(context)
        earlier = None
    if earlier is None:
        await _prepare(context)
    async with attached_to(context, World.APP) as app:
        old = await _old(context, app)
        try:
            # Before the row: a change that is begun can be undone with what the box knows.
            await app.learn(bench.pack(new.sha, old))
        except Refusal as problem:
            raise _not_live(problem) from problem
        going = await _begin(context, old, new)
        try:
            done = await _bring(context, app, going, manifest, strict)
        except (NotLive, Refusal) as problem:
            await _back(context, app, going)
            raise _not_live(problem) from problem
        # Recording ends this run. Its lease can then not be renewed, and at each renewal the worker cancels
        # what it takes for another's: the app would be held for seconds.
        await to_its_end(_record(context, app, going, manifest, done, record), END_S)
        if going.copy_id is not None or not done.replaced:
            await app.drop_aside()


async def _record(
    context: Context, app: Workspace, going: GoingLive, manifest: Manifest, done: Switched, record: Record
) -> None:
    async with context.change() as change:
        change.job.live, change.job.manifest = going.new, manifest.model_dump()
        (await _row(change)).recorded_at = change.unit.moment()
        await boxes.end_making(change.session, context.job_id)
        await record(change, done)
    await app.release()
    # Before the box is let go of, which takes its time: the client may start the app from here on.
    await _forget(context)


def _not_live(problem: NotLive | Refusal) -> NotLive:
    if isinstance(problem, NotLive):
        return problem
    return NotLive(*NO_ROOM) if problem.code == "workspace_full" else NotLive(problem.detail)


async def bring_back(context: Context) -> None:
    """Undo what an earlier attempt of this job has begun and nobody goes on with."""
    async with context.glance() as session:
        going = await boxes.going_live(session, context.job_id)
    if going is None:
        return
    async with attached_to(context, World.APP) as app:
        if going.recorded_at:
            await app.release()
        else:
            await _back(context, app, going)
    await _forget(context)


async def _bring(
    context: Context, app: Workspace, going: GoingLive, manifest: Manifest, strict: bool
) -> Switched:
    was_running = (await app.app_status()).state != "none"
    await app.hold()
    if going.copied:
        await bring_files_back(context.resources, app, going)
    elif going.old is not None:
        going.copy_id = await _copy(context, app, going.old)
        going.copied = True
    done = await app.switch(going.old, going.new)
    if strict or was_running:
        problem = await answers_twice(app, manifest)
        if problem and strict:
            raise NotLive(problem)
    return done


async def _copy(context: Context, app: Workspace, commit: str) -> UUID | None:
    """Copy the data of the held app aside and into the database; None if they are too large for that."""
    copied = await app.set_aside(commit)
    archive = await data_copies.keep_aside(context.resources, context.job_id, app, copied, context.copy_bytes)
    async with context.change() as change:
        row = await _row(change)
        row.copied = True
        if archive is not None:
            row.copy_id = await data_copies.note(
                change.unit,
                context.job_id,
                archive,
                cause=Cause.GOING_LIVE,
                commit=commit,
                entries=copied.entries,
                run_began=change.run.created_at,
            )
    return row.copy_id


def _is_ours(context: Context, going: GoingLive, new: Commit) -> bool:
    """Whether this run goes on with the change. One that is recorded was over before its worker died."""
    return going.recorded_at is None and going.new == new.sha and going.run_id == context.run_id


async def _prepare(context: Context) -> None:
    """See to it that the app's box can be brought back. One that was lost gets its data again. One at which
    nobody has looked yet counts as half-made until the change is recorded: if it is undone, whoever looks
    then gets the commit before it."""
    async with context.glance() as session:
        job, _ = await context.mine(session)
        is_half_made = await boxes.is_half_made(session, context.job_id)
        has_copies = bool(await copy_rows.copies(session, context.job_id))
    is_there = (await context.resources.runtime.status(context.job_id)).state != "none"
    if is_half_made:
        await make_whole(context)
    elif not is_there and has_copies and job.live is not None:
        await make_app(context.resources, context.job_id)
    elif not is_there:
        async with context.change() as change:
            await boxes.begin_making(change.session, context.job_id)


async def _old(context: Context, app: Workspace) -> str | None:
    """The commit that the app has now, None if it has neither files nor data: also if its box was lost after
    an earlier worker began."""
    there = await app.head()
    async with context.glance() as session:
        job, _ = await context.mine(session)
    return None if there is None else job.live or there.sha


async def _begin(context: Context, old: str | None, new: Commit) -> GoingLive:
    """The row of this change, made or found."""
    async with context.glance() as session:
        known = await boxes.going_live(session, context.job_id)
    if known is None:
        async with context.change() as change:
            known = GoingLive(
                job_id=context.job_id,
                run_id=context.run_id,
                old=old,
                new=new.sha,
                copied=False,
            )
            change.session.add(known)
            change.advance()
    else:
        # Whoever takes a change up begins it anew, so the row says nothing of how far it came. Its end is
        # bounded: however many workers die, the app is brought there or back.
        async with context.resources.statements() as statements:
            await runs.gets_on(statements, context.run_id, context.fence)
    return known


async def _back(context: Context, app: Workspace, going: GoingLive) -> None:
    async with context.glance() as session:
        standing = await boxes.standing(session, None, context.job_id)
    await undo(context.resources, app, going, None if standing is None else standing.manifest)
    await _forget(context)


async def _forget(context: Context) -> None:
    async with context.resources.statements() as statements:
        await boxes.settled(statements, context.job_id)


async def _row(change: Change) -> GoingLive:
    row = await boxes.going_live(change.session, change.job.id)
    assert row is not None, "it is there until the app is released"
    return row
