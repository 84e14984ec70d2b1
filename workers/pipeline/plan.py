"""The stages of a run, in order, and who does each. Read this first.

A stage is a function from stored facts to a stored outcome. It reads in a short transaction, thinks with none
open, and writes in a short transaction, which also sets the next stage. So a run can stop anywhere: the
worker that claims it next continues with the stage that `runs.stage` names.

    intake       Client Relations asks until the idea is clear, then sums up            collecting → queued
    analysis     the Business Analyst makes requirements of it                                   → planning
    discussion   CEO and CTO argue, the Secretary records the decision
    prd          the Project Manager writes the PRD                                             → prd_ready
    ticketing    … and cuts tickets with executable checks                  → ticketing → tickets_ready
    building     the Builder does them one by one; checks close them                             → building
    verifying    everything is checked once more, the CTO reads it, the app must answer        → build_done

Checks that fail in `verifying`, findings of the reviewer, and an app that does not start each open tickets
and send the run back to `building`, each once per run. A continuation starts at `analysis`, a retry where the
run failed.

What a stage is, in `app.domain.stages`, the API knows as well; its function is in the file of `stages` that
has its name.
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
