"""Which commit the client's app runs, which one the bench has, and what is on its way from one to the other."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("live", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("head", sa.Text(), nullable=True))
    op.create_table(
        "going_live",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("copied", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_going_live")),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_going_live_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("fk_going_live_run_id"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_going_live_run_id"), "going_live", ["run_id"])


def downgrade() -> None:
    op.drop_table("going_live")
    op.drop_column("jobs", "head")
    op.drop_column("jobs", "live")
