"""The tables, except for those in `boxes` and `spending`, and the meaning of their columns.

Rows are read as columns and written as ORM instances. Nothing is loaded lazily. Every foreign key has an
index, because without one PostgreSQL reads the whole table for each deleted row that the key refers to.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Identity, Index, Sequence, SmallInteger, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.job import Status
from app.domain.stages import ACTIVE, RunState, Stage
from app.domain.ticket import TicketStatus, TicketType
from app.store.base import Base, job_column, now_column, one_of, where_set

FENCES = Sequence("fences", metadata=Base.metadata)
"""One sequence for all runs, so that a later claim always has a higher fence."""


class User(Base):
    __tablename__ = "users"
    __table_args__ = (Index("uq_users_email", func.lower(text("email")), unique=True),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str]
    date_joined: Mapped[datetime] = now_column()


class RefreshFamily(Base):
    """A session: one login and all refresh tokens that came from it. Its id is the `sid` of access tokens."""

    __tablename__ = "refresh_families"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = now_column()


class RefreshToken(Base):
    """`successor` is the token that was made when this one was first used, at `rotated_at`. The token itself
    is not stored: it is signed from this row whenever it is handed out."""

    __tablename__ = "refresh_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    family_id: Mapped[UUID] = mapped_column(ForeignKey("refresh_families.id", ondelete="CASCADE"), index=True)
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    rotated_at: Mapped[datetime | None]
    successor: Mapped[UUID | None]


class WsTicket(Base):
    """A ticket that opens one socket within 30 s. Only its SHA-256 is stored."""

    __tablename__ = "ws_tickets"

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    family_id: Mapped[UUID] = mapped_column(ForeignKey("refresh_families.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Preview(Base):
    """A preview address of a job's app, for one session and one start of the app. Its token is made from the
    id when it is needed; only its SHA-256 is stored."""

    __tablename__ = "previews"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(unique=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    family_id: Mapped[UUID] = mapped_column(ForeignKey("refresh_families.id", ondelete="CASCADE"), index=True)
    app_began: Mapped[datetime]
    created_at: Mapped[datetime] = now_column()
    expires_at: Mapped[datetime]


class Attempts(Base):
    """A counter with a fixed window, for the limits of login and registration."""

    __tablename__ = "attempts"

    key: Mapped[str] = mapped_column(primary_key=True)
    window_ends: Mapped[datetime] = mapped_column(index=True)
    count: Mapped[int]


class IdempotencyKey(Base):
    """The first answer to a request with an `Idempotency-Key`."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    method: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_digest: Mapped[bytes]
    status: Mapped[int]
    answer: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp(), index=True)


class Job(Base):
    """`last_seq`, `last_position` and `last_order` are the numbers of the last event, message and step.
    `last_moment` is the last timestamp: `created_at` of messages and steps rises by at least a millisecond.

    `start_asked` is set by `start/`. `box_stopped` is set by `containers/stop`: then only `containers/start`
    or a new run wakes the box. `committed_*` is what was used plus what is reserved for open requests; the
    budgets are the job's own, null where the service's limits apply. `manifest` is a copy of the app's
    boardroom.json, from the last closed ticket or the client's last save. The app is started by this copy,
    because code in the box can change the file."""

    __tablename__ = "jobs"
    __table_args__ = (one_of("status", Status), Index("ix_jobs_user_id_id", "user_id", text("id DESC")))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    initial_prompt: Mapped[str]
    prompt: Mapped[str]
    requirements_summary: Mapped[str] = mapped_column(server_default="")
    status: Mapped[str]
    error_message: Mapped[str] = mapped_column(server_default="")
    failure_code: Mapped[str | None]
    verification: Mapped[str | None]
    is_paused: Mapped[bool] = mapped_column(server_default=text("false"))
    start_asked: Mapped[bool] = mapped_column(server_default=text("false"))
    box_stopped: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_moment: Mapped[datetime]
    last_seq: Mapped[int] = mapped_column(server_default="0")
    last_position: Mapped[int] = mapped_column(server_default="0")
    last_order: Mapped[int] = mapped_column(server_default="0")
    client_messages: Mapped[int] = mapped_column(server_default="0")
    client_tickets: Mapped[int] = mapped_column(server_default="0")
    input_tokens: Mapped[int] = mapped_column(server_default="0")
    output_tokens: Mapped[int] = mapped_column(server_default="0")
    cost_usd: Mapped[float] = mapped_column(server_default="0")
    model_calls: Mapped[int] = mapped_column(server_default="0")
    committed_tokens: Mapped[int] = mapped_column(server_default="0")
    committed_usd: Mapped[float] = mapped_column(server_default="0")
    token_budget: Mapped[int | None]
    cost_budget_usd: Mapped[float | None]
    manifest: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class JobEvent(Base):
    """The event log. `payload` is the JSON exactly as it is sent. `seq` counts from 1, without gaps, in
    commit order."""

    __tablename__ = "job_events"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    payload: Mapped[str]
    created_at: Mapped[datetime]


class Message(Base):
    """`answers` is the id of the client's message to which an agent's message is the reply. Each has at most
    one."""

    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("job_id", "position"), UniqueConstraint("answers"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = job_column()
    position: Mapped[int]
    role: Mapped[str]
    sender: Mapped[str]
    content: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    event_seq: Mapped[int | None]
    answers: Mapped[UUID | None]
    created_at: Mapped[datetime]


class Step(Base):
    """One turn of the executives' discussion."""

    __tablename__ = "steps"
    __table_args__ = (UniqueConstraint("job_id", "order"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = job_column()
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    agent_name: Mapped[str]
    message: Mapped[str]
    order: Mapped[int]
    created_at: Mapped[datetime]


class App(Base):
    __tablename__ = "apps"
    __table_args__ = (UniqueConstraint("job_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = job_column()
    spec: Mapped[dict[str, Any]]
    prd_markdown: Mapped[str]
    prd_generated_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = now_column()
    updated_at: Mapped[datetime] = now_column()


class Ticket(Base):
    """`run_id` is the run that last planned it; `reason` says why it was skipped or failed; `blocked` says
    that it was skipped only because a dependency failed; `requirements` are the ids (R1, …) that it covers.
    `of_client` says that the client has added it, or changed what it asks for, since a run last planned
    it."""

    __tablename__ = "tickets"
    __table_args__ = (
        one_of("type", TicketType),
        one_of("status", TicketStatus),
        Index("ix_tickets_job_id_order", "job_id", "order"),
        where_set("parent_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = job_column()
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("runs.id", ondelete="SET NULL"), index=True)
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("tickets.id", ondelete="SET NULL"))
    type: Mapped[str]
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    acceptance_criteria: Mapped[list[str]]
    checks: Mapped[list[dict[str, Any]]]
    requirements: Mapped[list[str]]
    status: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    blocked: Mapped[bool] = mapped_column(server_default=text("false"))
    assigned_to: Mapped[str] = mapped_column(server_default="")
    dependencies: Mapped[list[str]]
    order: Mapped[int]
    attempts: Mapped[int] = mapped_column(server_default="0")
    of_client: Mapped[bool] = mapped_column(server_default=text("false"))
    commit: Mapped[str | None]
    created_at: Mapped[datetime] = now_column()
    updated_at: Mapped[datetime] = now_column()


class Run(Base):
    """One pass of the pipeline, and the lease on it. `fence` belongs to the last claim; `claims` counts
    claims since the last stored step; `requirements` is the client's wish for a continuation; `described`
    names the stage that clients were last told of."""

    __tablename__ = "runs"
    __table_args__ = (
        one_of("state", RunState),
        one_of("stage", Stage),
        UniqueConstraint("job_id", "number"),
        Index(
            "uq_runs_active_job_id",
            "job_id",
            unique=True,
            postgresql_where=text("state in ({})".format(", ".join(f"'{s}'" for s in sorted(ACTIVE)))),
        ),
        Index("ix_runs_ready", "lease_until", postgresql_where=text("state = 'ready'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = job_column()
    number: Mapped[int]
    kind: Mapped[str]
    state: Mapped[str]
    stage: Mapped[str]
    requirements: Mapped[str] = mapped_column(server_default="")
    fence: Mapped[int | None]
    worker: Mapped[str] = mapped_column(server_default="")
    lease_until: Mapped[datetime | None]
    claims: Mapped[int] = mapped_column(server_default="0")
    retries: Mapped[int] = mapped_column(server_default="0")
    described: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = now_column()
    updated_at: Mapped[datetime] = now_column()


class RunStep(Base):
    """A stored step of a run: a model's answer or a tool's result, stored before it is used.

    `key` identifies the step within the run; `digest` is that of the question or call, so that a changed
    question is not answered by an old step; `asked` is the part of the question that a tape needs; `tree` is
    the git tree of the workspace after a tool call that may change files. A `~` in the key marks an answer
    that could not be used.
    """

    __tablename__ = "run_steps"
    __table_args__ = (UniqueConstraint("run_id", "key"),)

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    key: Mapped[str]
    kind: Mapped[str]
    agent: Mapped[str] = mapped_column(server_default="")
    model: Mapped[str] = mapped_column(server_default="")
    digest: Mapped[str] = mapped_column(server_default="")
    asked: Mapped[str] = mapped_column(server_default="")
    payload: Mapped[str]
    tree: Mapped[str | None]
    created_at: Mapped[datetime] = now_column()


class Evidence(Base):
    """The result of one check that the service ran on `commit`. One that passed is not run again on the same
    tree: it is found by `tree` and the check's content (`check_digest`). `phase` says why it was run."""

    __tablename__ = "evidence"
    __table_args__ = (
        Index("ix_evidence_job_id_created_at", "job_id", "created_at"),
        Index("ix_evidence_job_id_check_digest_tree", "job_id", "check_digest", "tree"),
        where_set("ticket_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    job_id: Mapped[UUID] = job_column()
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    ticket_id: Mapped[UUID | None] = mapped_column(ForeignKey("tickets.id", ondelete="SET NULL"))
    phase: Mapped[str]
    criterion: Mapped[int] = mapped_column(SmallInteger)
    check: Mapped[dict[str, Any]]
    check_digest: Mapped[str]
    commit: Mapped[str]
    tree: Mapped[str]
    exit_code: Mapped[int | None]
    passed: Mapped[bool]
    output_tail: Mapped[str]
    duration_ms: Mapped[int]
    created_at: Mapped[datetime] = now_column()


class Removal(Base):
    """A deleted job whose box may still exist. Its removal is tried until the box is gone."""

    __tablename__ = "removals"

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    not_before: Mapped[datetime] = now_column()
