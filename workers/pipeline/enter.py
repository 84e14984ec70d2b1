"""The first thing each stage after the conversation does."""

from app.actions import changes
from app.domain.stages import STATUS_DURING, Stage
from workers.context import Context

SHOWN_AS: dict[Stage, str] = {
    Stage.INTAKE: "requirements",
    Stage.ANALYSIS: "planning",
    Stage.DISCUSSION: "planning",
    Stage.PRD: "planning",
    Stage.TICKETING: "ticketing",
    Stage.BUILDING: "building",
    Stage.VERIFYING: "verifying",
}
"""`metadata.stage` of what is said while a stage is at work."""


async def enter(context: Context, stage: Stage, agent: str, description: str) -> None:
    """Show that the stage is at work: the job's status, and a sentence, once a run and again on a retry."""
    async with context.look() as session:
        _, run = await context.mine(session)
    mark = f"{stage}:{run.retries}"
    if run.described == mark:
        return
    async with context.change() as change:
        change.run.described = mark
        changes.set_status(change.unit, change.job, STATUS_DURING[stage])
        changes.describe(change.unit, change.job, agent, description, SHOWN_AS[stage])
