"""The stages and states of a run, and the status of the job during each stage."""

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
    """`waiting` means: for the client's next message. A run that is neither `ready` nor `waiting` is over."""

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
"""A run that was claimed so often without storing a step fails as `internal`: it probably kills its
workers."""
