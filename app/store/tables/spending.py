"""What requests to language models reserve and use."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.store.tables.base import Base, job_column, now_column, where_set

OPEN, ANSWERED, LOST = "open", "answered", "lost"


class ModelAttempt(Base):
    """One request to a model, created with its reservation. `outcome` is `open` until it is settled. A `lost`
    request was found open later, because its worker died, and is charged in full. `step` is the key of the
    run's step."""

    __tablename__ = "model_attempts"
    __table_args__ = (
        Index("ix_model_attempts_job_id", "job_id"),
        Index("ix_model_attempts_open", "job_id", postgresql_where=text("outcome = 'open'")),
        where_set("ticket_id"),
    )

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    job_id: Mapped[UUID] = job_column()
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), index=True)
    step: Mapped[str]
    agent: Mapped[str]
    ticket_id: Mapped[UUID | None] = mapped_column(ForeignKey("tickets.id", ondelete="SET NULL"))
    model: Mapped[str]
    outcome: Mapped[str] = mapped_column(server_default=OPEN)
    reserved_input: Mapped[int]
    reserved_output: Mapped[int]
    reserved_usd: Mapped[float]
    input_tokens: Mapped[int] = mapped_column(server_default="0")
    output_tokens: Mapped[int] = mapped_column(server_default="0")
    cached_tokens: Mapped[int] = mapped_column(server_default="0")
    cache_write_tokens: Mapped[int] = mapped_column(server_default="0")
    cost_usd: Mapped[float] = mapped_column(server_default="0")
    latency_ms: Mapped[int] = mapped_column(server_default="0")
    day: Mapped[date]
    created_at: Mapped[datetime] = now_column()


class UserDay(Base):
    """What all jobs of a user have used and reserved on one day (UTC)."""

    __tablename__ = "user_days"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    committed_tokens: Mapped[int]
    committed_usd: Mapped[float]
