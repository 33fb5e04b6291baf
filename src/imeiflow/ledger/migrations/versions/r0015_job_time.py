"""Let orders be found by a time within a job, and by a status of a state, without reading the job's others."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_orders_status", ["job_id", "status", "state", "id"], "status IS NOT NULL"),
    ("ix_orders_job_accepted_at", ["job_id", "accepted_at", "id"], "accepted_at IS NOT NULL"),
    ("ix_orders_job_completed_at", ["job_id", "completed_at", "id"], "completed_at IS NOT NULL"),
)


def upgrade() -> None:
    op.drop_index("ix_orders_status", "orders")
    for name, columns, where in _INDEXES:
        op.create_index(
            name, "orders", columns, unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
