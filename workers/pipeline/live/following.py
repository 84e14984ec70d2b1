"""In a first build the app follows each closed ticket, so that the client can look at it and use it."""

from app.actions.workspaces import manifest_of
from app.runtime.live_app import Switched
from app.runtime.workspace import Workspace
from app.store.tables import Run
from workers.context import Change, Context
from workers.pipeline.box import begun
from workers.pipeline.live.bringing import NotLive, bring


def follows(run: Run) -> bool:
    """Whether the app shows each closed ticket of this run. In a continuation the client works with the app:
    it stays as it is until all is built."""
    return run.kind == "build"


async def follow(context: Context, bench: Workspace) -> None:
    """Bring the app to the bench's head. If nobody has looked at it yet, it is enough to note which commit is
    to be shown."""
    manifest = await manifest_of(bench)
    if manifest is None or not follows(await context.run()):
        return
    head = await begun(bench)
    if (await context.resources.runtime.status(context.job_id)).state == "none":
        async with context.change() as change:
            change.job.live, change.job.manifest = head.sha, manifest.model_dump()
            change.advance()
        return
    try:
        await bring(context, bench, head, manifest, _nothing_more, strict=False)
    except NotLive:
        return  # the app stays at the ticket before


async def _nothing_more(change: Change, done: Switched) -> None:
    """That the commit is live is all there is to record."""
