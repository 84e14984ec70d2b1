"""The stages of a run, each one record, in the order in which they are played; and which status of a job may
follow which, because that follows from them.

A new stage is a record here and a file of its name in `workers/pipeline/stages`, with a function of its name.
Decision 29 says why.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from app.domain.conversation import STAGE_REQUIREMENTS, Agent
from app.domain.job import FINISHED, Status


class RunState(StrEnum):
    """`waiting` means: until the client does something. A run that is neither `ready` nor `waiting` is
    over."""

    READY = "ready"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = frozenset({RunState.READY, RunState.WAITING})

MAX_CLAIMS_WITHOUT_PROGRESS = 5
"""A run that was claimed so often without storing a step fails as `internal`: it probably kills its
workers."""


class WaitingFor(StrEnum):
    """What a run can wait for: `answer`, `prd`, `tickets` and `budget` are the client's to give, `place` is a
    free box, `model` one that answers."""

    NOTHING = ""
    ANSWER = "answer"
    PRD = "prd"
    TICKETS = "tickets"
    BUDGET = "budget"
    PLACE = "place"
    MODEL = "model"


_MODEL = frozenset({WaitingFor.MODEL})
_BOX = frozenset({WaitingFor.PLACE, WaitingFor.MODEL})


@dataclass(frozen=True)
class Stage:
    """`name` is stored in `runs.stage`; `status` is the job's while the stage is played; `shown_as` is the
    `metadata.stage` of its messages. `agent` announces the stage with `sentence`; without one the stage is
    not announced, and the status stays as it is.

    At its end the job becomes `ends_as`, with the message `ends_with`, and the next record of the table
    follows. With `again_from` the stage cannot be played twice in a row: what it finds missing, and a retry,
    begin at that stage.

    A stage `in_the_box` takes no turn (see `workers.turns`), because it waits for the box nearly all the
    time."""

    name: str
    status: Status
    shown_as: str
    agent: Agent
    sentence: str = ""
    ends_as: Status | None = None
    ends_with: str = ""
    again_from: str = ""
    in_the_box: bool = False
    may_wait_for: frozenset[WaitingFor] = _MODEL


def _in_order(*stages: Stage) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages}


STAGES = _in_order(
    Stage(
        "intake",
        Status.COLLECTING,
        STAGE_REQUIREMENTS,
        Agent.CLIENT_RELATIONS,
        ends_as=Status.QUEUED,
        ends_with="The requirements are clear.",
        may_wait_for=frozenset({WaitingFor.ANSWER, WaitingFor.MODEL}),
    ),
    Stage(
        "analysis",
        Status.PLANNING,
        "planning",
        Agent.BUSINESS_ANALYST,
        "Turning the conversation into requirements.",
    ),
    Stage(
        "discussion",
        Status.PLANNING,
        "planning",
        Agent.SECRETARY,
        "CEO and CTO are discussing the requirements.",
    ),
    Stage(
        "prd",
        Status.PLANNING,
        "planning",
        Agent.PROJECT_MANAGER,
        "Writing the PRD.",
        ends_as=Status.PRD_READY,
        ends_with="The PRD is ready.",
    ),
    Stage(
        "ticketing",
        Status.TICKETING,
        "ticketing",
        Agent.PROJECT_MANAGER,
        "Cutting tickets with checks.",
        ends_as=Status.TICKETS_READY,
        ends_with="The backlog is ready.",
    ),
    Stage(
        "building",
        Status.BUILDING,
        "building",
        Agent.BUILDER,
        "Working on the tickets, one by one.",
        in_the_box=True,
        may_wait_for=_BOX,
    ),
    Stage(
        "verifying",
        Status.BUILDING,
        "verifying",
        Agent.BUILDER,
        "Checking everything once more.",
        again_from="building",
        in_the_box=True,
        may_wait_for=_BOX,
    ),
    Stage(
        "going_live",
        Status.BUILDING,
        "verifying",
        Agent.BUILDER,
        "Bringing your app to the new version, with its data.",
        ends_as=Status.BUILD_DONE,
        ends_with="The app is built and answers.",
        again_from="building",
        in_the_box=True,
        may_wait_for=_BOX,
    ),
)

CHATTING = frozenset(stage.name for stage in STAGES.values() if WaitingFor.ANSWER in stage.may_wait_for)
"""The stages that talk with the client. Somebody sits there and waits for the reply, so workers have slots of
their own for them."""


def stage_named(name: str) -> Stage:
    """Raises KeyError for a stage that this version does not know."""
    return STAGES[name]


def stage_after(stage: Stage) -> Stage:
    """The next record of the table. The last stage ends the run, so it has none."""
    names = list(STAGES)
    return STAGES[names[names.index(stage.name) + 1]]


def stage_again(stage: Stage) -> Stage:
    """Where a run goes on that has ended or found something missing in `stage`."""
    return STAGES[stage.again_from] if stage.again_from else stage


def first_stage(*, talked: bool) -> Stage:
    """Where a run begins. When the client's wishes are summed up already, the conversation is left out."""
    return next(s for s in STAGES.values() if not (talked and s.status is Status.COLLECTING))


def next_statuses() -> dict[Status, frozenset[Status]]:
    """Which status may follow which.

    A run takes the job along the statuses of its stages, and may fail anywhere. A finished job is queued
    again. A retry begins at any stage, so `queued` may skip to the status of each. A retry of a job that
    failed while `collecting` starts at `queued`, too: Client Relations then sums up without further
    questions.
    """
    along = [status for stage in STAGES.values() for status in (stage.status, stage.ends_as) if status]
    following: dict[Status, set[Status]] = {status: set() for status in Status}
    for now, then in pairwise(along):
        following[now].add(then)
    following[Status.QUEUED].update(stage.status for stage in STAGES.values())
    following[Status.QUEUED].discard(Status.COLLECTING)
    for status in Status:
        following[status].add(Status.QUEUED if status in FINISHED else Status.FAILED)
    return {now: frozenset(then - {now}) for now, then in following.items()}


def may_follow(now: Status, then: Status) -> bool:
    return then in next_statuses()[now]
