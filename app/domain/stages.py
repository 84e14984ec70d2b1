"""The stages of a run and the statuses a client sees while each is at work."""

from enum import StrEnum

from app.domain.job import Status


class Stage(StrEnum):
    INTAKE = "intake"
    ANALYSIS = "analysis"
    DISCUSSION = "discussion"
    PRD = "prd"
    TICKETING = "ticketing"
    BUILDING = "building"
    VERIFYING = "verifying"


class RunState(StrEnum):
    """`waiting` is for the client's next message; everything but `ready` and `waiting` is over."""

    READY = "ready"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = frozenset({RunState.READY, RunState.WAITING})

STATUS_DURING: dict[Stage, Status] = {
    Stage.INTAKE: Status.COLLECTING,
    Stage.ANALYSIS: Status.PLANNING,
    Stage.DISCUSSION: Status.PLANNING,
    Stage.PRD: Status.PLANNING,
    Stage.TICKETING: Status.TICKETING,
    Stage.BUILDING: Status.BUILDING,
    Stage.VERIFYING: Status.BUILDING,
}

MAX_CLAIMS_WITHOUT_PROGRESS = 5
"""A run claimed this often without storing a step ends `internal`: it kills its workers."""
