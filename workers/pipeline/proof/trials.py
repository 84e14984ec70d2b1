"""Runs what judges a commit in a trial: a box of its own, which is emptied before each check.

So no process, port or file of the bench, of the client's app or of another check is there, and nothing that a
check leaves behind meets the next one. The commit travels from the bench as a pack; git's hashes say that it
is the commit.
"""

from collections.abc import AsyncIterator, Callable, Sequence

from app.domain.ticket import AnyCheck
from app.runtime.workspace import CheckResult, Commit, Hidden, NotClean, Workspace
from app.runtime.worlds import World
from workers.context import Context

KEPT_BYTES = 16 * 1024 * 1024
"""A pack of at most so many bytes is kept for the next check of the same commit."""


async def check_apart(
    context: Context,
    bench: Workspace,
    commit: Commit,
    check: AnyCheck,
    hear: Callable[[str], None] | None = None,
) -> CheckResult:
    """Run a check on a commit of the bench in an empty trial. Raises what `Runtime.attach` and
    `Workspace.check` raise."""
    trial = await _empty(context)
    await trial.learn(_pack(context, bench, commit))
    return await trial.check(commit.sha, check, hear)


async def hidden_apart(context: Context, bench: Workspace, base: Commit, commit: Commit) -> Sequence[Hidden]:
    """What the commit, with what its install step makes, hides (see `Workspace.hidden`), looked at in a
    trial."""
    trial = await _empty(context)
    await trial.learn(_pack(context, bench, commit))
    return await trial.hidden(base, commit, installed=True)


async def _empty(context: Context) -> Workspace:
    """The run's trial, emptied. One that cannot be emptied is thrown away."""
    if context.trial is not None:
        try:
            await context.trial.wipe()
        except NotClean:
            await context.leave_trial()
            await context.resources.runtime.discard(context.job_id, World.TRIAL)
        else:
            return context.trial
    context.trial = await context.resources.runtime.attach(
        context.job_id, world=World.TRIAL, fence=context.fence, create=True
    )
    try:
        await context.trial.wipe()  # it may have been used by a worker before us
    except NotClean:
        await context.leave_trial()
        await context.resources.runtime.discard(context.job_id, World.TRIAL)
        context.trial = await context.resources.runtime.attach(
            context.job_id, world=World.TRIAL, fence=context.fence, create=True
        )
    return context.trial


async def _pack(context: Context, bench: Workspace, commit: Commit) -> AsyncIterator[bytes]:
    if context.packed[0] == commit.sha:
        yield context.packed[1]
        return
    whole = bytearray()
    async for piece in bench.pack(commit.sha, None):
        if len(whole) <= KEPT_BYTES:
            whole += piece
        yield piece
    if len(whole) <= KEPT_BYTES:
        context.packed = (commit.sha, bytes(whole))
