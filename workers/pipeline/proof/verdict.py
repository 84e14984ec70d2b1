"""How much of a build is proven, and the words that say so. It is stored when the build is verified, and told
when it is live."""

from dataclasses import dataclass

from pydantic import TypeAdapter

from app.domain.job import Verification
from workers.context import Change, Context
from workers.steps import note


@dataclass(frozen=True)
class Verdict:
    verification: Verification
    message: str


KEY = "verdict"
_VERDICT: TypeAdapter[Verdict] = TypeAdapter(Verdict)


async def note_verdict(change: Change, verdict: Verdict) -> None:
    """Store it, in place of that of an earlier verification of this run."""
    await note(change, KEY, _VERDICT.dump_json(verdict).decode())


async def verdict_of(context: Context) -> Verdict:
    """What the run's last verification has found."""
    step = await context.step(KEY)
    assert step is not None, "nothing goes live before it was verified"
    return _VERDICT.validate_json(step.payload)
