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
"""

from collections.abc import Awaitable, Callable

from app.domain.stages import Stage
from workers.context import Context
from workers.pipeline.outcome import Outcome
from workers.pipeline.stages.analysis import analysis
from workers.pipeline.stages.building import building
from workers.pipeline.stages.discussion import discussion
from workers.pipeline.stages.intake import intake
from workers.pipeline.stages.prd import prd
from workers.pipeline.stages.ticketing import ticketing
from workers.pipeline.stages.verifying import verifying

PLAN: dict[Stage, Callable[[Context], Awaitable[Outcome]]] = {
    Stage.INTAKE: intake,
    Stage.ANALYSIS: analysis,
    Stage.DISCUSSION: discussion,
    Stage.PRD: prd,
    Stage.TICKETING: ticketing,
    Stage.BUILDING: building,
    Stage.VERIFYING: verifying,
}
