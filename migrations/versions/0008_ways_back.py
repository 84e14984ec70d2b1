"""An index behind every foreign key: deleting a job read whole tables for each of its runs and tickets."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

ALWAYS = (
    ("steps", "run_id"),
    ("tickets", "run_id"),
    ("evidence", "run_id"),
    ("model_attempts", "run_id"),
    ("ws_tickets", "user_id"),
    ("ws_tickets", "family_id"),
)
WHERE_SET = (("tickets", "parent_id"), ("evidence", "ticket_id"), ("model_attempts", "ticket_id"))


def upgrade() -> None:
    for table, column in ALWAYS:
        op.create_index(f"ix_{table}_{column}", table, [column])
    for table, column in WHERE_SET:
        op.create_index(
            f"ix_{table}_{column}", table, [column], postgresql_where=sa.text(f"{column} is not null")
        )


def downgrade() -> None:
    for table, column in (*ALWAYS, *WHERE_SET):
        op.drop_index(f"ix_{table}_{column}", table)
