"""Create the ledger: jobs, orders, attempts with their evidence, lanes, prices, events."""

import sqlalchemy as sa
from alembic import op

from imeiflow.ledger.dialect import forbid_changes

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _one_of(column: str, *values: str) -> str:
    return f"{column} IS NULL" + "".join(f" OR {column} = '{value}'" for value in values)


def upgrade() -> None:
    _create_event()
    _create_job()
    _create_lane()
    _create_learned()
    _create_service_price()
    _create_attempt()
    _create_orders()
    _create_attempt_evidence()
    _create_attempt_order()
    _create_repeat_seen()
    for statement in forbid_changes(op.get_bind().dialect.name, "event"):
        op.execute(statement)


def _create_event() -> None:
    op.create_table(
        "event",
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("job_id", _ID, nullable=True),
        sa.Column("order_id", _ID, nullable=True),
        sa.Column("attempt_id", _ID, nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index("ix_event_job_id", "event", ["job_id"], unique=False)


def _create_job() -> None:
    op.create_table(
        "job",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("service_name", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("wanted", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("policy", sa.String(length=16), nullable=False),
        sa.Column("unit_price", sa.String(length=40), nullable=True),
        sa.Column("currency", sa.String(length=8), nullable=False),
        sa.Column("max_spend", sa.String(length=40), nullable=True),
        sa.Column("chunk_size", sa.Integer(), nullable=True),
        sa.Column("max_concurrency", sa.Integer(), nullable=True),
        sa.Column("rate", sa.Float(), nullable=True),
        sa.Column("columns", sa.Text(), nullable=True),
        sa.Column("imei_column", sa.Text(), nullable=True),
        sa.Column("has_header", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("worked_s", sa.Float(), nullable=False),
        sa.CheckConstraint(_one_of("policy", "settle", "hold"), name=op.f("ck_job_policy")),
        sa.CheckConstraint(
            _one_of("state", "draft", "running", "finished", "paused", "cancelled"), name=op.f("ck_job_state")
        ),
        sa.CheckConstraint("wanted IN ('paused', 'cancelled')", name=op.f("ck_job_wanted")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_account", "job", ["account", "state"], unique=False)


def _create_lane() -> None:
    op.create_table(
        "lane",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("taken_at", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_lane")),
    )


def _create_learned() -> None:
    op.create_table(
        "learned",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("learned_at", sa.BigInteger(), nullable=False),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("account", "service", "kind", name=op.f("pk_learned")),
    )


def _create_service_price() -> None:
    op.create_table(
        "service_price",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("price", sa.String(length=40), nullable=True),
        sa.Column("currency", sa.String(length=8), nullable=False),
        sa.Column("delivery", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("is_listed", sa.Boolean(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_price")),
    )
    op.create_index("ix_service_price_account", "service_price", ["account", "service"], unique=False)


def _create_attempt() -> None:
    op.create_table(
        "attempt",
        sa.Column("id", _ID, nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ending", sa.String(length=16), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("error_kind", sa.String(length=16), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("elapsed_ms", sa.Integer(), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("anomalies", sa.Text(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.CheckConstraint(
            _one_of("ending", "not_sent", "refused_unread", "answered", "in_doubt"), name=op.f("ck_attempt_ending")
        ),
        sa.CheckConstraint(
            _one_of("error_kind", "order", "chunk", "rate", "overload", "account", "service", "unknown"),
            name=op.f("ck_attempt_error_kind"),
        ),
        sa.CheckConstraint(_one_of("kind", "place", "canary", "again", "probe"), name=op.f("ck_attempt_kind")),
        sa.CheckConstraint("(ended_at IS NULL) = (ending IS NULL)", name=op.f("ck_attempt_ended")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_attempt_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    op.create_index("ix_attempt_job_id", "attempt", ["job_id"], unique=False)
    op.create_index(
        "ix_attempt_open",
        "attempt",
        ["account"],
        unique=False,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("id", _ID, nullable=False),
        sa.Column("job_id", _ID, nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("imei", sa.Text(), nullable=True),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("repairs", sa.Text(), nullable=True),
        sa.Column("flaw", sa.Text(), nullable=True),
        sa.Column("repeated_of", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt_id", _ID, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=True),
        sa.Column("status_at", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error_kind", sa.String(length=16), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("price", sa.String(length=40), nullable=True),
        sa.Column("charges", sa.Integer(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=True),
        sa.Column("completed_at", sa.BigInteger(), nullable=True),
        sa.Column("columns", sa.Text(), nullable=True),
        sa.CheckConstraint(
            _one_of("error_kind", "order", "chunk", "rate", "overload", "account", "service", "unknown"),
            name=op.f("ck_orders_error_kind"),
        ),
        sa.CheckConstraint(
            _one_of(
                "state",
                "invalid",
                "repeated",
                "queued",
                "sending",
                "accepted",
                "duplicate",
                "refused",
                "unconfirmed",
                "failed",
                "cancelled",
            ),
            name=op.f("ck_orders_state"),
        ),
        sa.CheckConstraint(
            _one_of("status", "pending", "in_process", "completed", "rejected"), name=op.f("ck_orders_status")
        ),
        sa.CheckConstraint("charges >= 0", name=op.f("ck_orders_charges")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_orders_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    op.create_index(
        "ix_orders_charged",
        "orders",
        ["job_id", "price", "charges"],
        unique=False,
        sqlite_where=sa.text("charges > 0"),
        postgresql_where=sa.text("charges > 0"),
    )
    op.create_index("ix_orders_claim", "orders", ["job_id", "state", "id"], unique=False)
    op.create_index(
        "ix_orders_imei",
        "orders",
        ["imei"],
        unique=False,
        sqlite_where=sa.text("imei IS NOT NULL"),
        postgresql_where=sa.text("imei IS NOT NULL"),
    )
    op.create_index(
        "ix_orders_reference",
        "orders",
        ["reference"],
        unique=False,
        sqlite_where=sa.text("reference IS NOT NULL"),
        postgresql_where=sa.text("reference IS NOT NULL"),
    )


def _create_attempt_evidence() -> None:
    op.create_table(
        "attempt_evidence",
        sa.Column("attempt_id", _ID, autoincrement=False, nullable=False),
        sa.Column("packed", sa.Integer(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_attempt_evidence_attempt_id")),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_attempt_evidence")),
    )


def _create_attempt_order() -> None:
    op.create_table(
        "attempt_order",
        sa.Column("order_id", _ID, autoincrement=False, nullable=False),
        sa.Column("attempt_id", _ID, autoincrement=False, nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("price", sa.String(length=40), nullable=True),
        sa.Column("charges", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            _one_of("outcome", "accepted", "duplicate", "refused", "throttled", "unsent", "unconfirmed"),
            name=op.f("ck_attempt_order_outcome"),
        ),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_attempt_order_attempt_id")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_attempt_order_order_id")),
        sa.PrimaryKeyConstraint("order_id", "attempt_id", name=op.f("pk_attempt_order")),
        sqlite_with_rowid=False,
    )


def _create_repeat_seen() -> None:
    op.create_table(
        "repeat_seen",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("age_us", sa.BigInteger(), nullable=False),
        sa.Column("is_refusal", sa.Boolean(), nullable=False),
        sa.Column("of_completed", sa.Boolean(), nullable=False),
        sa.Column("attempt_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_repeat_seen_attempt_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repeat_seen")),
    )
    op.create_index("ix_repeat_seen_account", "repeat_seen", ["account", "service"], unique=False)
