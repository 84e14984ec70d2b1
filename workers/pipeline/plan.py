"""The plan, to be read first: the stages of a run, in order, and who does each.

A stage is a function from the facts in the rows to an outcome in the rows. It reads in a short look, thinks
with nothing open, and writes in a short change, in which it also names the next stage. So stopping anywhere
and starting again is the normal case: whoever claims the run next goes on from what `runs.stage` says.

    intake       Client Relations asks until the idea is clear, then sums up            collecting → queued
    analysis     the Business Analyst makes requirements of it                                   → planning
    discussion   CEO and CTO argue, the Secretary records the decision
    prd          the Project Manager writes the PRD                                             → prd_ready
    ticketing    … and cuts tickets with executable checks                  → ticketing → tickets_ready
    building     the Builder does them one by one; checks close them                             → building
    verifying    everything is checked once more, the CTO reads it, the app must answer        → build_done

What fails or is found at the end opens tickets and goes back to `building`, each once. A continuation
starts at `analysis`; a retry wherever the run failed.
"""

from collections.abc import Awaitable, Callable

from app.domain.stages import Stage
from workers.context import Context
from workers.pipeline.analysis import analysis
from workers.pipeline.building import building
from workers.pipeline.discussion import discussion
from workers.pipeline.intake import intake
from workers.pipeline.outcome import Outcome
from workers.pipeline.prd import prd
from workers.pipeline.ticketing import ticketing
from workers.pipeline.verifying import verifying

PLAN: dict[Stage, Callable[[Context], Awaitable[Outcome]]] = {
    Stage.INTAKE: intake,
    Stage.ANALYSIS: analysis,
    Stage.DISCUSSION: discussion,
    Stage.PRD: prd,
    Stage.TICKETING: ticketing,
    Stage.BUILDING: building,
    Stage.VERIFYING: verifying,
}
