"""How many tokens of a request were stored in the provider's cache."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column(
        "model_attempts", sa.Column("cache_write_tokens", sa.BigInteger(), server_default="0", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("model_attempts", "cache_write_tokens")
