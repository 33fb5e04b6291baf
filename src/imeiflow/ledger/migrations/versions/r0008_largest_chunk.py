"""Keep with a job how many IMEIs a call of it may carry at most."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("largest_chunk", sa.Integer(), nullable=True))
