"""A run that cannot go on waits: for the client, for a free box, for a model that answers. `waiting_for` of
the run and of its job says for what. Meanwhile no worker holds the run, and clients are told once that it
waits, and once that it goes on.
"""

from app.domain.stages import RunState, WaitingFor
from app.store import runs
from workers.context import Change, Context


class Wait(Exception):
    """Raised where a stage cannot go on: the run is given back and is due again in `again_s` seconds.
    `sentence` tells clients why, and that it goes on by itself."""

    def __init__(self, reason: WaitingFor, sentence: str, again_s: float) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.sentence = sentence
        self.again_s = again_s


def wait(change: Change, reason: WaitingFor, sentence: str = "", again_s: float | None = None) -> None:
    """Give the run back, when the unit commits: until `again_s` seconds are over or, without them, until the
    client has done something (`actions.chat.wake_run`). A `sentence` is told when the wait begins, not again
    when the run has been tried in vain.

    Raises ValueError if a run may not wait for that in this stage.
    """
    run = change.run
    if reason not in change.stage.may_wait_for:
        raise ValueError(f"{run.stage} may not wait for {reason!r}")
    if sentence and run.waiting_for != reason:
        change.describe(sentence)
    runs.wait_for(change.job, run, reason)
    if again_s is None:
        run.state, run.lease_until = RunState.WAITING, None
    else:
        runs.rest(run, again_s)


async def go_on(context: Context, reason: WaitingFor, sentence: str) -> None:
    """Called when what a run may have waited for is there: tell clients with `sentence`, if it did wait for
    it."""
    if (await context.run()).waiting_for == reason:
        async with context.change() as change:
            runs.wait_for(change.job, change.run, WaitingFor.NOTHING)
            change.describe(sentence)
