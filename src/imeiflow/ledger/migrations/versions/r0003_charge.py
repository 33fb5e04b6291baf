"""Sum up what was charged as it is written, and keep when a price list was fetched."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SUM_UP = """
INSERT INTO charge (job_id, at, price, times)
SELECT job_id, at, price, SUM(charges) FROM (
    SELECT orders.job_id AS job_id, orders.charges AS charges, COALESCE(orders.price, '') AS price,
    COALESCE(attempt.started_at, orders.accepted_at, job.created_at) / 900000000 * 900000000 AS at
    FROM orders JOIN job ON job.id = orders.job_id LEFT JOIN attempt ON attempt.id = orders.attempt_id
    WHERE orders.charges > 0
) AS charged GROUP BY job_id, at, price
"""


def upgrade() -> None:
    op.create_table(
        "charge",
        sa.Column("job_id", _ID, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.String(length=40), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_charge_job_id")),
        sa.PrimaryKeyConstraint("job_id", "at", "price", name=op.f("pk_charge")),
        sqlite_with_rowid=False,
    )
    op.execute(_SUM_UP)
    op.create_table(
        "price_list",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_price_list")),
    )
    op.drop_index("ix_orders_charged", table_name="orders")
    _create_index("ix_orders_rejected", "orders", ["job_id", "completed_at", "price", "charges"], "status = 'rejected'")
    _create_index("ix_attempt_probe", "attempt", ["job_id"], "kind = 'probe'")
    _create_index("ix_attempt_order_doubt", "attempt_order", ["attempt_id"], "outcome = 'unconfirmed'")


def _create_index(name: str, table: str, columns: list[str], where: str) -> None:
    only = sa.text(where)
    op.create_index(name, table, columns, unique=False, sqlite_where=only, postgresql_where=only)
