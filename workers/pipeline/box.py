"""How a stage attaches to the job's boxes, with the run's fence, and what it stores outside of them."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import structlog

from app.actions import data_copies
from app.actions.making import make_app
from app.domain.conversation import Agent
from app.domain.copies import Cause
from app.domain.errors import Refusal, TooLarge, Unavailable
from app.domain.job import FailureCode
from app.domain.stages import WaitingFor
from app.runtime.workspace import (
    Commit,
    EngineAway,
    FenceLost,
    NoPlace,
    RuntimeProblem,
    SandboxUnavailable,
    Workspace,
    WorkspaceMissing,
)
from app.runtime.worlds import World
from app.store import boxes
from app.unit import LeaseLost
from workers.context import Context
from workers.pipeline.outcome import StageFailed
from workers.steps import note
from workers.waiting import Wait, go_on

log = structlog.get_logger()

PLACE_S = 2.0
"""Seconds until a run that waits for a free box is tried again."""

NOT_KEPT = (
    "It stays in the container alone; if that is lost, the build goes back to what was kept last. Have large "
    "files made by the app, or name them in .gitignore."
)


@asynccontextmanager
async def attached(context: Context) -> AsyncIterator[Workspace]:
    """Attach to the bench. If it has none of the job's work, it is filled: with what is kept in the database,
    or else with the client's app and a copy of its data. Raises what `attached_to` raises."""
    await _unlock(context)
    async with context.glance() as session:
        job, _ = await context.mine(session)
    if job.head is None:
        # What an earlier run has left there is older than the app.
        await context.resources.runtime.discard(context.job_id, World.BENCH)
    async with attached_to(context, World.BENCH) as bench:
        if await bench.head() is None:
            if job.head is None:
                with no_room():
                    await _fill_from_app(context, bench)
            else:
                await _refill(context, bench)
        try:
            yield bench
        finally:
            await context.leave_trials()


@contextmanager
def no_room() -> Iterator[None]:
    """For copies of the app's data. If one is refused, the client has to do something about the data."""
    try:
        yield
    except Unavailable:
        raise  # it is tried again
    except Refusal as refusal:
        raise StageFailed(
            FailureCode.SANDBOX_UNAVAILABLE,
            f"The app's data could not be copied for the build: {refusal.detail} Your app is as it was "
            "before. Remove what it does not need, then retry.",
        ) from refusal


@asynccontextmanager
async def attached_to(context: Context, world: World, slot: int = 0) -> AsyncIterator[Workspace]:
    """Attach to one of the job's boxes, which is made or woken. If it knows a higher fence, the run belongs
    to another worker. Raises LeaseLost, Wait, EngineAway, BoxDied, StageFailed."""
    runtime = context.resources.runtime
    try:
        workspace = await runtime.attach(
            context.job_id, world=world, slot=slot, fence=context.fence, create=True
        )
        try:
            await go_on(context, WaitingFor.PLACE, "There is a place now. Going on.")
            yield workspace
        finally:
            await workspace.close()
    except NoPlace as full:
        sentence = f"{full} Waiting for a place; it goes on by itself."
        raise Wait(WaitingFor.PLACE, sentence, PLACE_S) from full
    except EngineAway:
        raise  # the runner tries again
    except SandboxUnavailable as error:
        raise StageFailed(
            FailureCode.SANDBOX_UNAVAILABLE,
            f"No box could be made for the build: {error} `boardroom doctor` says what to do; then retry.",
        ) from error
    except FenceLost as error:
        raise LeaseLost from error
    except RuntimeProblem:
        # A box that fails may be full or broken: it is stopped, and the next attempt starts it again.
        with suppress(RuntimeProblem):
            await runtime.stop(context.job_id, world, slot)
        raise


async def _fill_from_app(context: Context, bench: Workspace) -> None:
    """Bring the history of the client's app to the bench, and a copy of its data. What the client has saved
    since the last run is in it. Without an app, the bench stays empty."""
    if (await context.resources.runtime.status(context.job_id)).state == "none":
        await _refill(context, bench)
        return
    await make_whole(context)
    async with attached_to(context, World.APP) as app:
        if await app.head() is None:
            await _refill(context, app)
        head = await begun(app)
        await bench.learn(app.pack(head.sha, None))
        await bench.hold()
        await bench.switch(None, head.sha)
        copied = await app.set_aside(head.sha)
        await bench.take_in(app.aside())
        await bench.put_back(head.sha)
        archive = await data_copies.keep_aside(
            context.resources, context.job_id, app, copied, context.copy_bytes
        )
        for workspace in (app, bench):
            await workspace.drop_aside()
        await bench.release()
    async with context.change() as change:
        change.job.live = change.job.head = head.sha
        if archive is not None:
            await data_copies.note(
                change.unit,
                context.job_id,
                archive,
                cause=Cause.CONTINUATION,
                commit=head.sha,
                entries=copied.entries,
            )


async def make_whole(context: Context) -> None:
    """If the app's box is half-made, make it whole."""
    with suppress(WorkspaceMissing):  # its repository is too large to be stored
        await make_app(context.resources, context.job_id, unless_none=True)


async def begun(workspace: Workspace) -> Commit:
    """The newest commit. If there is none, everything that is there is committed."""
    return await workspace.head() or await workspace.commit("Begin", Agent.BUILDER)


async def keep(context: Context, workspace: Workspace, step: str = "") -> None:
    """Store the repository in the database, so that no work is lost with the box. If it is too large, clients
    are told. A `step` notes that it was done."""
    head = await begun(workspace)
    try:
        bundle, problem = await workspace.bundle(), ""
    except TooLarge as refusal:
        bundle, problem = b"", f"{refusal.detail} {NOT_KEPT}"
    async with context.change() as change:
        change.job.head = head.sha
        if step:
            await note(change, step, head.sha)
            change.advance()
        if problem:
            change.describe(problem)
        else:
            await boxes.keep_bundle(change.session, context.job_id, bundle)


async def mend_history(context: Context, workspace: Workspace) -> None:
    """If an agent has deleted `.git`, restore the history from the database and keep the files as they
    are."""
    if await workspace.head() is None:
        tree = await workspace.checkpoint(str(context.run_id), "mended")
        await _refill(context, workspace)
        await workspace.restore(tree)


async def _refill(context: Context, workspace: Workspace) -> None:
    """Fill a box that has no commit with the stored repository, if there is one: it replaces a box that was
    lost."""
    async with context.glance() as session:
        bundle = await boxes.find_bundle(session, context.job_id)
    if bundle is not None:
        log.warning("box.restored", job=str(context.job_id), bytes=len(bundle))
        await workspace.unbundle(bundle)


async def _unlock(context: Context) -> None:
    """A build uses the box even if the client has stopped it."""
    async with context.glance() as session:
        job, _ = await context.mine(session)
    if job.box_stopped:
        async with context.change() as change:
            change.job.box_stopped = False
