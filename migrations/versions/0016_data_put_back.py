"""An app is also changed without a run, when a copy of its data is put back."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.alter_column("going_live", "run_id", nullable=True)


def downgrade() -> None:
    op.execute("delete from going_live where run_id is null")
    op.alter_column("going_live", "run_id", nullable=False)
