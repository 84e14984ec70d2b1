"""The functions of the stages. Read this first.

A stage is a function from stored facts to a stored outcome. It reads in a short transaction, thinks with none
open, and writes in a short transaction, which also sets the next stage. So a run can stop anywhere: the
worker that claims it next continues with the stage that `runs.stage` names.

The table of `app.domain.stages` has the stages in order, with what the API knows of them, too; the file of
`stages` that has a stage's name says what is done in it. Checks that fail in `verifying`, findings of the
reviewer, and an app that does not start each open tickets and send the run back to `building`, each once per
run. A continuation starts after the conversation, a retry where the run failed.
"""

from collections.abc import Awaitable, Callable
from importlib import import_module

from app.domain.stages import STAGES, Stage
from workers.context import Context
from workers.pipeline.outcome import Outcome

Play = Callable[[Context], Awaitable[Outcome]]


def play_of(stage: Stage) -> Play:
    """The function that plays a stage. Raises ImportError, AttributeError if there is none of its name."""
    play: Play = getattr(import_module(f"workers.pipeline.stages.{stage.name}"), stage.name)
    return play


PLAN: dict[str, Play] = {name: play_of(stage) for name, stage in STAGES.items()}
