"""A job: its row, the log of its events, and what was said in it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.job import Status
from app.store.tables.base import Base, job_column, one_of


class Job(Base):
    """`last_seq`, `last_position` and `last_order` are the numbers of the last event, message and step.
    `last_moment` is the last timestamp: `created_at` of messages and steps rises by at least a millisecond.

    `start_asked` is set by `start/`. `box_stopped` is set by `containers/stop`: then only `containers/start`
    or a new run wakes the box. `committed_*` is what was used plus what is reserved for open requests; the
    budgets are the job's own, null where the service's limits apply. `manifest` is a copy of the app's
    boardroom.json at its commit, or the client's last save. The app is started by this copy, because code in
    the box can change the file.

    `waiting_for` is that of the active run, written together with it, so that a job is read without its runs.

    `live` is the commit that the client's app was last brought to, null before that. `head` is the newest
    commit of the work on the bench that is not live; null if there is none: then the app's folder is the
    newest."""

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
    waiting_for: Mapped[str] = mapped_column(server_default="")
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
    live: Mapped[str | None]
    head: Mapped[str | None]


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
