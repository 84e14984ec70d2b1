"""tickets that clients make and change"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("client_tickets", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column(
        "tickets", sa.Column("of_client", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )


def downgrade() -> None:
    op.drop_column("tickets", "of_client")
    op.drop_column("jobs", "client_tickets")
