"""what models use: attempts, budgets, a user's days"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, kind in (("committed_tokens", sa.BigInteger()), ("committed_usd", sa.Double())):
        op.add_column("jobs", sa.Column(name, kind, server_default=sa.text("'0'"), nullable=False))
    op.add_column("jobs", sa.Column("token_budget", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("cost_budget_usd", sa.Double(), nullable=True))
    op.execute("update jobs set committed_tokens = input_tokens + output_tokens, committed_usd = cost_usd")
    for name in ("input_tokens", "output_tokens", "cost_usd"):
        op.drop_column("run_steps", name)  # what a step has used is its attempts'
    op.create_table(
        "model_attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("ticket_id", sa.Uuid(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), server_default="open", nullable=False),
        sa.Column("reserved_input", sa.BigInteger(), nullable=False),
        sa.Column("reserved_output", sa.BigInteger(), nullable=False),
        sa.Column("reserved_usd", sa.Double(), nullable=False),
        sa.Column("input_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost_usd", sa.Double(), server_default="0", nullable=False),
        sa.Column("latency_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_model_attempts_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_model_attempts_run_id_runs"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
            name=op.f("fk_model_attempts_ticket_id_tickets"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_attempts")),
    )
    op.create_index("ix_model_attempts_job_id", "model_attempts", ["job_id"], unique=False)
    op.create_index(
        "ix_model_attempts_open",
        "model_attempts",
        ["job_id"],
        unique=False,
        postgresql_where=sa.text("outcome = 'open'"),
    )
    op.create_table(
        "user_days",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("committed_tokens", sa.BigInteger(), nullable=False),
        sa.Column("committed_usd", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_days_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "day", name=op.f("pk_user_days")),
    )
