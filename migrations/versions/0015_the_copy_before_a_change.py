"""Which copy of the data was stored before the app was changed."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("going_live", sa.Column("copy_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_going_live_copy_id"), "going_live", "data_copies", ["copy_id"], ["id"], ondelete="SET NULL"
    )
    op.create_index(op.f("ix_going_live_copy_id"), "going_live", ["copy_id"])


def downgrade() -> None:
    op.drop_column("going_live", "copy_id")
