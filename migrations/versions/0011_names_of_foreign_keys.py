"""Five foreign keys get the names that the tables declare. They were called after both of their tables."""

from alembic import op

revision = "0011"
down_revision = "0010"

NAMES = (
    ("bundles", "job_id", "jobs"),
    ("model_attempts", "job_id", "jobs"),
    ("model_attempts", "run_id", "runs"),
    ("model_attempts", "ticket_id", "tickets"),
    ("user_days", "user_id", "users"),
)


def upgrade() -> None:
    for table, column, other in NAMES:
        name = f"fk_{table}_{column}"
        op.execute(f"alter table {table} rename constraint {name}_{other} to {name}")


def downgrade() -> None:
    for table, column, other in NAMES:
        name = f"fk_{table}_{column}"
        op.execute(f"alter table {table} rename constraint {name} to {name}_{other}")
