"""The boxes of one job, its *worlds*, of which none sees anything of another (docs/decisions/0030)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

MAX_TRIALS = 16
_TRIAL = re.compile(r"trial-(\d+)")


CHECKING = (0, 2)
"""The slots of the trials in which checks run: as many as a box may use processors."""

REHEARSING = 1
"""The slot of the trial in which it is rehearsed that a version goes live."""

AT_ONCE = 3 + len(CHECKING)
"""How many boxes of a job are awake at the same time, at most: the app, the bench, and the trials."""


class World(StrEnum):
    """`APP` is the app that the client uses, with its data. On the `BENCH` the Builder works. In a `TRIAL` a
    check runs; a job may have several, told apart by their slot."""

    APP = "app"
    BENCH = "bench"
    TRIAL = "trial"


@dataclass(frozen=True, order=True)
class BoxId:
    """One box of a job. `slot` is 0 except for trials, where it is below `MAX_TRIALS`."""

    job_id: UUID
    world: World = World.APP
    slot: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.slot < (MAX_TRIALS if self.world is World.TRIAL else 1):
            raise ValueError(f"no box: {self.world} {self.slot}")

    @property
    def label(self) -> str:
        """The world and slot in one word, for names of folders and containers; empty for the app, whose names
        are older than the other worlds."""
        if self.world is World.APP:
            return ""
        return f"trial-{self.slot}" if self.world is World.TRIAL else "bench"

    @property
    def number(self) -> int:
        """A number that no other box of the job has."""
        return {World.APP: 0, World.BENCH: 1, World.TRIAL: 2}[self.world] + self.slot


def labelled(job_id: UUID, label: str) -> BoxId | None:
    """The box of a job whose `label` this is; None if there is no such box."""
    if label == "bench":
        return BoxId(job_id, World.BENCH)
    trial = _TRIAL.fullmatch(label)
    if trial is None or int(trial[1]) >= MAX_TRIALS:
        return None if label else BoxId(job_id)
    return BoxId(job_id, World.TRIAL, int(trial[1]))
