"""Runs, the leases on them, and their stored steps."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Identity, Index, Sequence, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.stages import ACTIVE, RunState
from app.store.tables.base import Base, job_column, now_column, one_of

FENCES = Sequence("fences", metadata=Base.metadata)
"""One sequence for all runs, so that a later claim always has a higher fence."""


class Run(Base):
    """One pass of the pipeline, and the lease on it. `fence` belongs to the last claim; `claims` counts
    claims since the last stored step; `requirements` is the client's wish for a continuation; `described`
    names the stage that clients were last told of. `stage` and `waiting_for` have no CHECK: their values are
    those of `domain.stages`, and a new one needs no migration."""

    __tablename__ = "runs"
    __table_args__ = (
        one_of("state", RunState),
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
    waiting_for: Mapped[str] = mapped_column(server_default="")
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
