"""Let indexes alone answer how many orders of a job have which status, and how many are asked for in vain."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_orders_status", ["job_id", "status", "id", "state"], "status IS NOT NULL"),
    ("ix_orders_due", ["job_id", "due_at", "id", "misses"], "due_at IS NOT NULL"),
    ("ix_orders_unheard", ["job_id", "state", "status"], "status IS NULL AND state = 'accepted'"),
)


def upgrade() -> None:
    for name in ("ix_orders_status", "ix_orders_due"):
        op.drop_index(name, "orders")
    for name, columns, where in _INDEXES:
        op.create_index(
            name, "orders", columns, unique=False, sqlite_where=sa.text(where), postgresql_where=sa.text(where)
        )
