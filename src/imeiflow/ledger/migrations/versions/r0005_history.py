"""Searching over all jobs: what a repeated row repeats, orders by status and by time."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_INDEXES = {
    "status": ["job_id", "status", "id"],
    "accepted_at": ["accepted_at", "id"],
    "completed_at": ["completed_at", "id"],
}
#: Rows that were left out by an earlier version, with the reason in another column and without the order they repeat.
_MEND = """
UPDATE orders SET error = flaw, flaw = NULL, earlier_id = (
    SELECT max(earlier.id) FROM orders AS earlier
    JOIN job AS theirs ON theirs.id = earlier.job_id
    JOIN job AS ours ON ours.id = orders.job_id
    WHERE earlier.imei = orders.imei AND earlier.id < orders.id
    AND theirs.account = ours.account AND theirs.service = ours.service
    AND earlier.state IN ('accepted', 'duplicate', 'unconfirmed', 'sending')
) WHERE state = 'repeated' AND flaw IS NOT NULL
"""


def upgrade() -> None:
    op.add_column("orders", sa.Column("earlier_id", _ID, nullable=True))
    op.execute(_MEND)
    for column, columns in _INDEXES.items():
        is_set = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_orders_{column}", "orders", columns, unique=False, sqlite_where=is_set, postgresql_where=is_set
        )
