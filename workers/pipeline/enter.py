"""How the stages after the conversation are entered and announced, and what clients are told when one has to
wait."""

from app.actions import changes
from app.domain.conversation import Agent
from app.domain.stages import STATUS_DURING, Stage
from app.store.tables import Run
from workers.context import Change, Context

ANNOUNCED: dict[Stage, tuple[Agent, str]] = {
    Stage.ANALYSIS: (Agent.BUSINESS_ANALYST, "Turning the conversation into requirements."),
    Stage.DISCUSSION: (Agent.SECRETARY, "CEO and CTO are discussing the requirements."),
    Stage.PRD: (Agent.PROJECT_MANAGER, "Writing the PRD."),
    Stage.TICKETING: (Agent.PROJECT_MANAGER, "Cutting tickets with checks."),
    Stage.BUILDING: (Agent.BUILDER, "Working on the tickets, one by one."),
    Stage.VERIFYING: (Agent.BUILDER, "Checking everything once more."),
}
"""Which agent works in each stage, and the message that says so."""

SHOWN_AS: dict[Stage, str] = {
    Stage.INTAKE: "requirements",
    Stage.ANALYSIS: "planning",
    Stage.DISCUSSION: "planning",
    Stage.PRD: "planning",
    Stage.TICKETING: "ticketing",
    Stage.BUILDING: "building",
    Stage.VERIFYING: "verifying",
}
"""`metadata.stage` of messages during each stage."""


_WAITING = ":waiting"
"""Added to `runs.described` after clients were told that the stage has to wait."""


async def enter(context: Context, stage: Stage) -> None:
    """Called first by each stage: announce it, unless it was announced by the stage before (`go_on_to`). A
    stage is announced once per run and retry."""
    run = await context.run()
    if not _is_announced(run, stage):
        async with context.change() as change:
            _announce(change, stage)


def go_on_to(change: Change, stage: Stage) -> None:
    """Continue with `stage` and announce it, in the same unit. In a paused job `enter` announces it later."""
    change.advance(stage)
    if not change.job.is_paused and not _is_announced(change.run, stage):
        _announce(change, stage)


def _is_announced(run: Run, stage: Stage) -> bool:
    return run.described.removesuffix(_WAITING) == _mark(run, stage)


def _announce(change: Change, stage: Stage) -> None:
    agent, sentence = ANNOUNCED[stage]
    change.run.described = _mark(change.run, stage)
    changes.set_status(change.unit, change.job, STATUS_DURING[stage])
    changes.describe(change.unit, change.job, agent, sentence, SHOWN_AS[stage])


def _mark(run: Run, stage: Stage) -> str:
    return f"{stage}:{run.retries}"


async def tell_waiting(context: Context, reason: str) -> None:
    """Tell clients, once, that the stage waits for a free box and continues by itself."""
    run = await context.run()
    if not run.described.endswith(_WAITING):
        await _tell(
            context, f"{run.described}{_WAITING}", f"{reason} Waiting for a place; it goes on by itself."
        )


async def tell_going_on(context: Context) -> None:
    """Tell clients that the wait is over, if they were told of it."""
    run = await context.run()
    if run.described.endswith(_WAITING):
        await _tell(context, run.described.removesuffix(_WAITING), "There is a place now. Going on.")


async def _tell(context: Context, mark: str, sentence: str) -> None:
    async with context.change() as change:
        change.run.described = mark
        stage = SHOWN_AS[Stage(change.run.stage)]
        changes.describe(change.unit, change.job, Agent.BUILDER, sentence, stage)
