"""What a job waits for, so that it is read without its runs."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("waiting_for", sa.Text(), server_default="", nullable=False))
    op.execute(
        sa.text(
            "update jobs set waiting_for = runs.waiting_for from runs"
            " where runs.job_id = jobs.id and runs.state in ('ready', 'waiting') and runs.waiting_for <> ''"
        )
    )


def downgrade() -> None:
    op.drop_column("jobs", "waiting_for")
