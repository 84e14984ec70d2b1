"""The statuses of a job and the reasons for a failure. Which status may follow which is in `stages`."""

from enum import StrEnum


class Status(StrEnum):
    COLLECTING = "collecting"
    QUEUED = "queued"
    PLANNING = "planning"
    PRD_READY = "prd_ready"
    TICKETING = "ticketing"
    TICKETS_READY = "tickets_ready"
    BUILDING = "building"
    BUILD_DONE = "build_done"
    FAILED = "failed"


class FailureCode(StrEnum):
    CANCELLED = "cancelled"
    BUDGET = "budget"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_MISBEHAVED = "model_misbehaved"
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"
    CHECKS_FAILED = "checks_failed"
    INTERNAL = "internal"


class Verification(StrEnum):
    """How much of a finished build the service itself has seen to work."""

    VERIFIED = "verified"
    PARTLY = "partly"
    UNVERIFIED = "unverified"


ORDER = (
    Status.COLLECTING,
    Status.QUEUED,
    Status.PLANNING,
    Status.PRD_READY,
    Status.TICKETING,
    Status.TICKETS_READY,
    Status.BUILDING,
    Status.BUILD_DONE,
)
"""The order of statuses within one run. A retry may skip some, but never goes back."""

FINISHED = frozenset({Status.BUILD_DONE, Status.FAILED})

MAX_CLIENT_MESSAGES = 2000
"""Messages a client can add to one job; the service's own are never refused."""
