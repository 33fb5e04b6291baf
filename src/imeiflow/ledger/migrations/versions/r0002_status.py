"""Follow accepted orders: when each is due, how its status changed, and what in a reply did not fit."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_STATUSES = ("pending", "in_process", "completed", "rejected")
_KINDS = ("backwards", "result_changed", "foreign_imei", "unasked", "contradiction", "unknown", "unreadable")


def _one_of(column: str, *values: str) -> str:
    return f"{column} IS NULL" + "".join(f" OR {column} = '{value}'" for value in values)


def upgrade() -> None:
    op.add_column("job", sa.Column("follow_results", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("orders", sa.Column("due_at", sa.BigInteger(), nullable=True))
    op.add_column("orders", sa.Column("misses", sa.Integer(), nullable=False, server_default=sa.text("0")))
    _create_status_change()
    _create_status_anomaly()
    op.execute(
        "UPDATE orders SET due_at = COALESCE(status_at, accepted_at) WHERE state = 'accepted' "
        "AND reference IS NOT NULL AND (status IS NULL OR status IN ('pending', 'in_process') OR result IS NULL)"
    )
    op.execute(
        "INSERT INTO status_change (order_id, at, status) SELECT id, status_at, status FROM orders "
        "WHERE status IN ('completed', 'rejected') AND due_at IS NULL AND status_at IS NOT NULL ORDER BY status_at, id"
    )
    op.create_index(
        "ix_orders_due",
        "orders",
        ["job_id", "due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )


def _create_status_change() -> None:
    op.create_table(
        "status_change",
        sa.Column("id", _ID, nullable=False),
        sa.Column("order_id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.String(length=16), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.CheckConstraint(_one_of("before", *_STATUSES), name=op.f("ck_status_change_before")),
        sa.CheckConstraint(_one_of("status", *_STATUSES), name=op.f("ck_status_change_status")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_status_change_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_change")),
    )
    op.create_index("ix_status_change_order_id", "status_change", ["order_id"], unique=False)


def _create_status_anomaly() -> None:
    op.create_table(
        "status_anomaly",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("job_id", _ID, nullable=True),
        sa.Column("order_id", _ID, nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.CheckConstraint(_one_of("kind", *_KINDS), name=op.f("ck_status_anomaly_kind")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_status_anomaly_job_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_status_anomaly_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_anomaly")),
    )
    op.create_index("ix_status_anomaly_account", "status_anomaly", ["account", "kind", "reference"], unique=True)
    op.create_index("ix_status_anomaly_job_id", "status_anomaly", ["job_id"], unique=False)
