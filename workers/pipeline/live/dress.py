"""The dress rehearsal: whether a commit would start on the client's data. It runs in a box of its own."""

from contextlib import suppress

from app.domain.workspace import Manifest
from app.runtime.workspace import Commit, RuntimeProblem, Workspace
from app.runtime.worlds import REHEARSING, World
from workers.context import Context
from workers.pipeline.box import attached_to, make_whole, no_room
from workers.pipeline.live.bringing import bring_back
from workers.pipeline.live.starting import answers_twice


async def would_start(context: Context, bench: Workspace, commit: Commit, manifest: Manifest) -> str:
    """Start the commit twice in a trial, on a fresh copy of the app's data. Returns why it does not answer,
    "" if it does. The app itself is not touched, and goes on."""
    runtime = context.resources.runtime
    await runtime.discard(context.job_id, World.TRIAL, REHEARSING)
    try:
        async with attached_to(context, World.TRIAL, REHEARSING) as trial:
            await trial.learn(bench.pack(commit.sha, None))
            await trial.hold()
            await trial.switch(None, commit.sha)
            with no_room():
                await _bring_data(context, trial, commit)
            problem = await context.unless_paused(answers_twice(trial, manifest))
    finally:
        with suppress(RuntimeProblem):
            await runtime.discard(context.job_id, World.TRIAL, REHEARSING)
    return problem


async def _bring_data(context: Context, trial: Workspace, commit: Commit) -> None:
    """Put a copy of the app's data into the trial, if there is an app."""
    await bring_back(context)  # the copy of a change that is not over lies where the new one would
    async with context.glance() as session:
        job, _ = await context.mine(session)
    is_there = (await context.resources.runtime.status(context.job_id)).state != "none"
    if job.live is None or not is_there:
        return
    await make_whole(context)
    async with attached_to(context, World.APP) as app:
        await app.set_aside(job.live)
        await trial.take_in(app.aside())
        await app.drop_aside()
    await trial.put_back(commit.sha)
    await trial.drop_aside()
