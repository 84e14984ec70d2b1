"""The first thing each stage after the conversation does."""

from app.actions import changes
from app.domain.job import Status
from app.domain.stages import STATUS_DURING, Stage
from workers.context import Context


async def enter(context: Context, stage: Stage, agent: str, description: str) -> None:
    """Show that the stage is at work: the job's status, and a sentence once a run (again on a retry)."""
    async with context.change() as change:
        job, run = change.job, change.run
        changes.set_status(change.unit, job, Status(STATUS_DURING[stage]))
        mark = f"{stage}:{run.retries}"
        if run.described != mark:
            run.described = mark
            changes.describe(change.unit, job, agent, description, SHOWN_AS[stage])


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
