"""The Builder's tools, used without a Builder."""

from app.runtime.workspace import Workspace
from tests.helpers.company import call
from workers.pipeline.ticket import toolbox


async def use(box: Workspace, name: str, **arguments: object) -> str:
    """What the Builder is answered to a call."""
    tool = toolbox.parse(call(name, **arguments))
    return tool if isinstance(tool, str) else await toolbox.use(box, tool)
