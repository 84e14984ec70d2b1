"""What a job is to become, its tickets, and what was proven of them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.ticket import TicketStatus, TicketType
from app.store.tables.base import Base, job_column, now_column, one_of, where_set


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
    it. `contests` are the `domain.contests.Contest` of its checks since then."""

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
    contests: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    commit: Mapped[str | None]
    created_at: Mapped[datetime] = now_column()
    updated_at: Mapped[datetime] = now_column()


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


class Screenshot(Base):
    """A JPEG of the page that a check used last. Of each check the last ones are kept."""

    __tablename__ = "screenshots"
    __table_args__ = (Index("ix_screenshots_job_id_check_digest", "job_id", "check_digest"),)

    evidence_id: Mapped[UUID] = mapped_column(ForeignKey("evidence.id", ondelete="CASCADE"), primary_key=True)
    job_id: Mapped[UUID] = job_column()
    check_digest: Mapped[str]
    picture: Mapped[bytes]
