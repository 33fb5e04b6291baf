"""Let orders of a status be found by a time within a job, without reading what has the status at another time."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_orders_job_accepted_at", ["job_id", "status", "accepted_at", "id", "completed_at"], "accepted_at IS NOT NULL"),
    (
        "ix_orders_job_completed_at",
        ["job_id", "status", "state", "completed_at", "id", "accepted_at"],
        "completed_at IS NOT NULL",
    ),
)


def upgrade() -> None:
    for name, columns, where in _INDEXES:
        op.drop_index(name, "orders")
        op.create_index(
            name, "orders", columns, unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
