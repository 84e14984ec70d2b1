"""A run says what it waits for. The names of stages are known to the code alone."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("runs", sa.Column("waiting_for", sa.Text(), server_default="", nullable=False))
    op.execute(sa.text("update runs set waiting_for = 'answer' where state = 'waiting'"))
    op.execute(
        sa.text(
            r"update runs set described = regexp_replace(described, '\:waiting$', ''),"
            " waiting_for = case state when 'ready' then 'place' else waiting_for end"
            r" where described like '%\:waiting'"
        )
    )
    op.drop_constraint(op.f("ck_runs_known_stage"), "runs", type_="check")


def downgrade() -> None:
    op.create_check_constraint(
        op.f("ck_runs_known_stage"),
        "runs",
        "stage in ('intake', 'analysis', 'discussion', 'prd', 'ticketing', 'building', 'verifying')",
    )
    op.execute(sa.text(r"update runs set described = described || '\:waiting' where waiting_for = 'place'"))
    op.drop_column("runs", "waiting_for")
