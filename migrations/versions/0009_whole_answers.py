"""An Idempotency-Key is stored with its answer, in one transaction: there are no keys without one."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute(sa.text("delete from idempotency_keys where status is null or answer is null"))
    op.alter_column("idempotency_keys", "status", nullable=False)
    op.alter_column("idempotency_keys", "answer", nullable=False)


def downgrade() -> None:
    op.alter_column("idempotency_keys", "answer", nullable=True)
    op.alter_column("idempotency_keys", "status", nullable=True)
