"""How a run gets from stage to stage: each is announced when it is entered, once per run and retry."""

from app.actions import changes
from app.domain.stages import Stage, stage_after, stage_again
from app.store.tables import Run
from workers.context import Change, Context


async def enter(context: Context, stage: Stage) -> None:
    """Called before a stage is played: announce it, unless it was announced when the stage before ended."""
    if not _is_announced(await context.run(), stage):
        async with context.change() as change:
            _announce(change, stage)


def end_stage(change: Change) -> None:
    """The stage has done its work: go on with the one that follows."""
    ended = change.stage
    if ended.ends_as is not None:
        changes.set_status(change.unit, change.job, ended.ends_as, ended.ends_with)
    _go_to(change, stage_after(ended))


def go_back(change: Change) -> None:
    """The stage has found something missing: go back to where that is made."""
    _go_to(change, stage_again(change.stage))


def _go_to(change: Change, stage: Stage) -> None:
    """Continue with `stage` and announce it, in the same unit. In a paused job `enter` announces it later."""
    change.advance(stage)
    if not change.job.is_paused and not _is_announced(change.run, stage):
        _announce(change, stage)


def _is_announced(run: Run, stage: Stage) -> bool:
    return not stage.sentence or run.described == _mark(run, stage)


def _announce(change: Change, stage: Stage) -> None:
    change.run.described = _mark(change.run, stage)
    changes.set_status(change.unit, change.job, stage.status)
    change.describe(stage.sentence)


def _mark(run: Run, stage: Stage) -> str:
    return f"{stage.name}:{run.retries}"
