"""Find the replies that named what does not fit among a million calls."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("anomalies IS NOT NULL")
    op.create_index("ix_attempt_odd", "attempt", ["job_id"], sqlite_where=where, postgresql_where=where)
