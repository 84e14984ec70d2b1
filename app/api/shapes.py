"""The shapes of answers, for `/docs`. The tests validate every answer against them.

Most answers are built as JSON by PostgreSQL and never become instances of these classes.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.domain.job import FailureCode, Status, Verification
from app.domain.ticket import Check, Phase, TicketStatus, TicketType

Stamp = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$",
        description="UTC, always with six digits.",
        examples=["2026-11-23T04:15:00.123456Z"],
    ),
]

USER_ID = "0199a1f2-0000-7000-8000-000000000001"
JOB_ID = "0199a1f2-1111-7000-8000-000000000002"
MESSAGE_ID = "0199a1f2-2222-7000-8000-000000000003"
TICKET_ID = "0199a1f2-3333-7000-8000-000000000004"
OTHER_ID = "0199a1f2-4444-7000-8000-000000000005"
COMMIT = "9f0c2f6e0b0f4f6f8f5b0c3d1e2a4b6c8d0e1f2a"
WHEN = "2026-11-23T04:15:00.123456Z"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl"  # noqa: S105 - an example


class Shape(BaseModel, defer_build=True):
    """The shape of an answer. Only the OpenAPI document needs it, so pydantic builds its validator only on
    demand."""

    model_config = ConfigDict(frozen=True)


def example(**value: Any) -> ConfigDict:
    return ConfigDict(frozen=True, json_schema_extra={"examples": [value]})


_USER = {"id": USER_ID, "email": "ada@example.org", "name": "Ada", "date_joined": WHEN}
_JOB = {
    "id": JOB_ID,
    "initial_prompt": "A reading list for a book club",
    "prompt": "A reading list for a book club",
    "requirements_summary": "",
    "status": "collecting",
    "error_message": "",
    "failure_code": None,
    "verification": None,
    "is_paused": False,
    "created_at": WHEN,
    "updated_at": WHEN,
    "last_seq": 1,
    "usage": {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0, "model_calls": 0},
}
_STEP = {"id": OTHER_ID, "agent_name": "CTO", "message": "SQLite will do.", "order": 2, "created_at": WHEN}
_MESSAGE = {
    "id": MESSAGE_ID,
    "job_id": JOB_ID,
    "role": "user",
    "sender": "Ada",
    "content": "A reading list for a book club",
    "metadata": {"stage": "requirements"},
    "created_at": WHEN,
}
EVENT = {
    "kind": "stageUpdate",
    "jobId": JOB_ID,
    "seq": 1,
    "timestamp": WHEN,
    "id": MESSAGE_ID,
    "role": "user",
    "sender": "Ada",
    "content": "A reading list for a book club",
    "metadata": {"stage": "requirements"},
}
CHECK = {
    "id": "c1",
    "criterion": 0,
    "kind": "http",
    "method": "GET",
    "path": "/",
    "expect_status": 200,
}


class User(Shape):
    model_config = example(**_USER)

    id: UUID
    email: str
    name: str
    date_joined: Stamp


class Session(Shape):
    """`expires_in`: for how many seconds the `access` token is valid."""

    model_config = example(access=TOKEN, refresh=TOKEN, expires_in=3600, user=_USER)

    access: str
    refresh: str
    expires_in: int
    user: User


class WsTicket(Shape):
    """For `?ticket=` on a socket. Valid once, within `expires_in` seconds."""

    model_config = example(ticket="kq3Yk0mJ7r2vS5w8x1z4A6c9E0g3I5k7M9o1Q3s5U7w", expires_in=30)

    ticket: str
    expires_in: int


class Usage(Shape):
    """What the job has used of language models up to now."""

    input_tokens: int
    output_tokens: int
    cost_usd: float
    model_calls: int


class Job(Shape):
    """`prompt` is `initial_prompt` until Client Relations has summed up the conversation, then the summary.
    `error_message` is empty unless the status is `failed`. `last_seq` is the number of the job's last event:
    use it as `?since=` of the socket."""

    model_config = example(**_JOB)

    id: UUID
    initial_prompt: str
    prompt: str
    requirements_summary: str
    status: Status
    error_message: str
    failure_code: FailureCode | None
    verification: Verification | None
    is_paused: bool
    created_at: Stamp
    updated_at: Stamp
    last_seq: int
    usage: Usage


class Step(Shape):
    """One turn of the discussion between CEO, CTO and Secretary."""

    model_config = example(**_STEP)

    id: UUID
    agent_name: str
    message: str
    order: int
    created_at: Stamp


class Message(Shape):
    model_config = example(**_MESSAGE)

    id: UUID
    job_id: UUID
    role: Literal["user", "agent", "system"]
    sender: str
    content: str
    metadata: dict[str, Any]
    created_at: Stamp


class JobDetail(Job):
    """A job with all its steps and messages, one snapshot."""

    model_config = example(**_JOB, steps=[_STEP], messages=[_MESSAGE])

    steps: list[Step]
    messages: list[Message]


class Continued(Shape):
    model_config = example(detail="Continuation queued.", job=_JOB)

    detail: Literal["Continuation queued."]
    job: Job


class Held(Shape):
    """The answer of `pause/` and `resume/`."""

    model_config = example(detail="Paused.", is_paused=True, status="building")

    detail: str
    is_paused: bool
    status: Status


class Purged(Shape):
    model_config = example(deleted=3)

    deleted: int


class App(Shape):
    """`spec` holds at least `requirements`, `summary` and `discussion`."""

    model_config = example(
        id=OTHER_ID,
        job_id=JOB_ID,
        spec={
            "requirements": "R1: members add books",
            "summary": "A shared reading list.",
            "discussion": [{"agent": "CEO", "role": "chief executive", "content": "Keep it small."}],
        },
        prd_markdown="# Reading list",
        prd_generated_at=WHEN,
        created_at=WHEN,
        updated_at=WHEN,
    )

    id: UUID
    job_id: UUID
    spec: dict[str, Any]
    prd_markdown: str
    prd_generated_at: Stamp | None
    created_at: Stamp
    updated_at: Stamp


class Ticket(Shape):
    """`checks` are what the service runs to find out whether a criterion is met. `criterion` of a check is an
    index into `acceptance_criteria`."""

    model_config = example(
        id=TICKET_ID,
        job_id=JOB_ID,
        parent_id=None,
        type="story",
        title="Show the list",
        description="",
        acceptance_criteria=["The start page answers"],
        checks=[CHECK],
        status="todo",
        assigned_to="Builder",
        dependencies=[],
        order=1,
        attempts=0,
        commit=None,
        created_at=WHEN,
        updated_at=WHEN,
    )

    id: UUID
    job_id: UUID
    parent_id: UUID | None
    type: TicketType
    title: str
    description: str
    acceptance_criteria: list[str]
    checks: list[Check]
    status: TicketStatus
    assigned_to: str
    dependencies: list[UUID]
    order: int
    attempts: int
    commit: str | None
    created_at: Stamp
    updated_at: Stamp


class Evidence(Shape):
    """One check that the service ran on `commit`. `run` is the number of the job's run, from 1. `phase` says
    why: `red` before work on the ticket, `run` on the commit at which the run began to build, if it passed
    before its ticket (if it passes there, too, it holds, but held before), `green` after the work,
    `regression` after a later ticket, `final` at the end, `bisect` to find the commit that broke it,
    `review` for the reviewer."""

    model_config = example(
        id=OTHER_ID,
        run=1,
        phase="green",
        ticket_id=TICKET_ID,
        criterion=0,
        check=CHECK,
        exit_code=None,
        passed=True,
        output_tail="200 OK",
        duration_ms=412,
        commit=COMMIT,
        created_at=WHEN,
    )

    id: UUID
    run: int
    phase: Phase
    ticket_id: UUID | None
    criterion: int
    check: Check
    exit_code: int | None
    passed: bool
    output_tail: str
    duration_ms: int
    commit: str
    created_at: Stamp


class Detail(Shape):
    model_config = example(detail="Job container is running.")

    detail: str


class FieldProblem(Shape):
    field: str
    message: str


class Problem(Shape):
    """RFC 9457. `detail` is one sentence for people, `code` is for programs; `errors` for bad input."""

    model_config = example(
        type="about:blank",
        title="Not Found",
        status=404,
        detail="There is nothing here under that address.",
        code="not_found",
        request_id="6f1d0c9a5b7e4c1f9d3a2b8e7c6f5d4a",
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblem] = Field(default_factory=list)
