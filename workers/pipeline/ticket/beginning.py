"""A new app begins as the scaffold of its profile, so that the first ticket starts from an app that runs."""

from app.domain.conversation import Agent
from app.domain.errors import NotFound
from app.domain.workspace import MANIFEST, resolve_path
from app.runtime.workspace import Workspace
from app.store import rows
from workers.context import Context
from workers.pipeline import spec as specs
from workers.profiles.catalogue import find


async def begin(context: Context, workspace: Workspace) -> bool:
    """Commit the scaffold, unless work has begun or there is a manifest; returns whether it did. Files that
    the client has saved stay as they are.

    The checks of the first ticket run on this commit before the ticket, so what the scaffold does proves
    nothing.
    """
    async with context.glance() as session:
        tickets = await rows.tickets(session, context.job_id)
    if any(ticket.attempts for ticket in tickets) or await _is_there(workspace, MANIFEST):
        return False
    profile = find((await specs.load(context)).profile)
    for path, content in profile.scaffold.items():
        if not await _is_there(workspace, path):
            await workspace.save(resolve_path(path), content)
    await workspace.commit(f"Begin: {profile.title}", Agent.BUILDER)
    return True


async def _is_there(workspace: Workspace, path: str) -> bool:
    try:
        await workspace.read(resolve_path(path))
    except NotFound:
        return False
    return True
