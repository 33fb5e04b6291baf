"""Tell others: what was subscribed to, what happened since, deliveries and their attempts.

What happened is noted by the database itself, in the transaction of the change, whoever makes it.
"""

import sqlalchemy as sa
from alembic import op

from imeiflow.ledger.trigger import note_changes

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_EVENTS = ("job.finished", "job.paused", "order.completed", "order.rejected", "order.unconfirmed")


def _one_of(column: str, *values: str) -> str:
    return f"{column} IS NULL" + "".join(f" OR {column} = '{value}'" for value in values)


def upgrade() -> None:
    op.create_table(
        "webhook_event",
        sa.Column("webhook", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("webhook", "event", name=op.f("pk_webhook_event")),
    )
    _create_notice()
    _create_delivery()
    _create_delivery_attempt()
    for statement in note_changes(op.get_bind().dialect.name):
        op.execute(statement)


def _create_notice() -> None:
    op.create_table(
        "notice",
        sa.Column("id", _ID, nullable=False),
        sa.Column("event", sa.String(length=24), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("order_id", _ID, nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint(_one_of("event", *_EVENTS), name=op.f("ck_notice_event")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_notice_job_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_notice_order_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notice_event", "notice", ["event", "job_id", "id"], unique=False)


def _create_delivery() -> None:
    op.create_table(
        "delivery",
        sa.Column("id", _ID, nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("webhook", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("job_id", _ID, nullable=True),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(_one_of("state", "pending", "delivered", "failed"), name=op.f("ck_delivery_state")),
        sa.CheckConstraint("(ended_at IS NULL) = (state = 'pending')", name=op.f("ck_delivery_ended")),
        sa.UniqueConstraint("webhook", "event_id", name=op.f("uq_delivery_webhook_event_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery")),
    )
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["next_at"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index("ix_delivery_ended_at", "delivery", ["ended_at"], unique=False)


def _create_delivery_attempt() -> None:
    op.create_table(
        "delivery_attempt",
        sa.Column("id", _ID, nullable=False),
        sa.Column("delivery_id", _ID, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("elapsed_ms", sa.Integer(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name=op.f("fk_delivery_attempt_delivery_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempt")),
    )
    op.create_index("ix_delivery_attempt_delivery_id", "delivery_attempt", ["delivery_id"], unique=False)
