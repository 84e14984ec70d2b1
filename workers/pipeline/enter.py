"""The first thing each stage after the conversation does, and what is said when it has to wait."""

from app.actions import changes
from app.domain.conversation import Agent
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


_WAITING = ":waiting"
"""Added to `runs.described` once it was said that the stage has to wait."""


async def enter(context: Context, stage: Stage, agent: str, description: str) -> None:
    """Show that the stage is at work: the job's status, and a sentence, once a run and again on a retry."""
    run = await context.run()
    mark = f"{stage}:{run.retries}"
    if run.described.removesuffix(_WAITING) == mark:
        return
    async with context.change() as change:
        change.run.described = mark
        changes.set_status(change.unit, change.job, STATUS_DURING[stage])
        changes.describe(change.unit, change.job, agent, description, SHOWN_AS[stage])


async def tell_waiting(context: Context, reason: str) -> None:
    """Say once that the stage waits for a place and goes on by itself."""
    run = await context.run()
    if not run.described.endswith(_WAITING):
        await _tell(
            context, f"{run.described}{_WAITING}", f"{reason} Waiting for a place; it goes on by itself."
        )


async def tell_going_on(context: Context) -> None:
    """Say that there is a place now, if it was said before that there was none."""
    run = await context.run()
    if run.described.endswith(_WAITING):
        await _tell(context, run.described.removesuffix(_WAITING), "There is a place now. Going on.")


async def _tell(context: Context, mark: str, sentence: str) -> None:
    async with context.change() as change:
        change.run.described = mark
        stage = SHOWN_AS[Stage(change.run.stage)]
        changes.describe(change.unit, change.job, Agent.BUILDER, sentence, stage)
