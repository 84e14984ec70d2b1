"""A job's life: its statuses, which may follow which, and why it may end.

Source: the guide's section 5 and the contract's "Jobs".
"""

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
    """How much of a finished build the service itself saw working."""

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
"""The only order a client ever observes within one run. A retry may skip forward, never back."""

FINISHED = frozenset({Status.BUILD_DONE, Status.FAILED})

NEXT: dict[Status, frozenset[Status]] = {
    Status.COLLECTING: frozenset({Status.QUEUED, Status.FAILED}),
    Status.QUEUED: frozenset({Status.PLANNING, Status.TICKETING, Status.BUILDING, Status.FAILED}),
    Status.PLANNING: frozenset({Status.PRD_READY, Status.FAILED}),
    Status.PRD_READY: frozenset({Status.TICKETING, Status.FAILED}),
    Status.TICKETING: frozenset({Status.TICKETS_READY, Status.FAILED}),
    Status.TICKETS_READY: frozenset({Status.BUILDING, Status.FAILED}),
    Status.BUILDING: frozenset({Status.BUILD_DONE, Status.FAILED}),
    Status.BUILD_DONE: frozenset({Status.QUEUED}),
    Status.FAILED: frozenset({Status.QUEUED}),
}
"""Which status may follow which. `queued` skips forward only on a retry; a retry of a job that failed while
`collecting` starts at `queued` too, and Client Relations sums up there without asking on."""

MAX_CLIENT_MESSAGES = 2000
"""Messages a client can add to one job; the service's own are never refused."""


def may_follow(now: Status, then: Status) -> bool:
    return then in NEXT[now]
