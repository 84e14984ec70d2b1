"""what a model was asked, so that a run can be told again"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("run_steps", sa.Column("asked", sa.Text(), nullable=False, server_default=""))
