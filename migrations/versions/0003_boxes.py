"""whose boxes these are, and the repositories that have left them"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "instance",
        sa.Column("single", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.CheckConstraint("single", name=op.f("ck_instance_one_row")),
        sa.PrimaryKeyConstraint("single", name=op.f("pk_instance")),
    )
    op.create_table(
        "bundles",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_bundles_job_id_jobs"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_bundles")),
    )
    # It is compressed already.
    op.execute("alter table bundles alter column content set storage external")


def downgrade() -> None:
    op.drop_table("bundles")
    op.drop_table("instance")
