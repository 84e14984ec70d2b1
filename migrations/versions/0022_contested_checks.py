"""The checks of a ticket that were contested, and what was decided."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("tickets", sa.Column("contests", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    op.drop_column("tickets", "contests")
