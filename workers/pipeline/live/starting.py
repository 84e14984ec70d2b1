"""How an app is started, and whether it answers: when it is started, and again as after a sleep."""

from app.domain.workspace import Manifest
from app.runtime.workspace import Workspace


async def answers_twice(app: Workspace, manifest: Manifest) -> str:
    """Start the app in `/app`, on its data, twice; it runs afterwards. Returns why it does not answer, "" if
    it does."""
    for when in ("", " when it is started a second time"):
        await app.stop_app()  # at first it may still run older code
        status = await app.start_app(manifest)
        if not status.answering:
            last = status.log_tail[-500:]
            return f"The app does not answer on {manifest.health}{when}. Its last words: {last}"
    return ""
