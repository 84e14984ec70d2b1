"""How a stage attaches to the job's box, with the run's fence, and what it stores outside of the box."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from app.actions.workspaces import manifest_of
from app.domain.conversation import Agent
from app.domain.errors import TooLarge
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
)
from app.store import boxes
from app.unit import LeaseLost
from workers.context import Context
from workers.pipeline.outcome import StageFailed
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
    """Attach to the box, which is made or woken. If the box knows a higher fence, the run belongs to another
    worker. Raises LeaseLost, Wait, EngineAway, BoxDied, StageFailed."""
    await _unlock(context)
    try:
        workspace = await context.resources.runtime.attach(context.job_id, fence=context.fence, create=True)
        try:
            await _refill(context, workspace)
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
            await context.resources.runtime.stop(context.job_id)
        raise


async def begun(workspace: Workspace) -> Commit:
    """The newest commit. If there is none, everything that is there is committed."""
    return await workspace.head() or await workspace.commit("Begin", Agent.BUILDER)


async def keep(context: Context, workspace: Workspace) -> None:
    """Store the repository in the database, so that no work is lost with the box. Store the manifest, so that
    code in the box cannot change how the app is started. If the repository is too large, clients are told."""
    manifest = await manifest_of(workspace)
    try:
        bundle, problem = await workspace.bundle(), ""
    except TooLarge as refusal:
        bundle, problem = b"", f"{refusal.detail} {NOT_KEPT}"
    async with context.change() as change:
        if manifest is not None:
            change.job.manifest = manifest.model_dump()
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
    if await workspace.head() is not None:
        return
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
