"""A model that is overloaded, starting or away: how long its run still waits, and what the client is told."""

from datetime import UTC, datetime

from app.domain.stages import WaitingFor
from workers.context import Context
from workers.llm.model import ModelUnavailable, Then
from workers.steps import note
from workers.waiting import Wait

WAITS = "The model does not answer at the moment. Waiting for it; work goes on by itself."
SINCE = "waiting.model"
"""The key of the note that says since when a run waits for its model."""


async def time_left(context: Context, problem: ModelUnavailable) -> Wait | None:
    """How the run waits; None if the model will not recover, or not before the run's patience is over. Raises
    LeaseLost, Unavailable."""
    if problem.then is not Then.LATER:
        return None
    patience, now = context.models.patience, datetime.now(UTC)
    again_s = problem.retry_after or patience.again_s
    if (await context.run()).waiting_for == WaitingFor.MODEL:
        since = await _since(context) or now
    else:
        since = now
        if again_s <= patience.wait_s:
            async with context.change() as change:
                await note(change, SINCE, now.isoformat())
    waited = (now - since).total_seconds()
    left = patience.wait_s - waited
    if again_s > left:
        return None
    return Wait(WaitingFor.MODEL, WAITS, again_s)


async def _since(context: Context) -> datetime | None:
    stored = await context.step(SINCE)
    return datetime.fromisoformat(stored.payload) if stored is not None else None


def away(problem: ModelUnavailable) -> str:
    """Why the job has ended: for the client, then for who runs the service."""
    return (
        "The language model does not answer, so work has stopped here. Everything so far is kept: retry "
        f"later. For the operator: {problem} `boardroom model check` says what works."
    )
