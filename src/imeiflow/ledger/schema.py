"""The ledger's tables. What they look like in a file is the work of `migrations`; a test compares the two.

Times are microseconds UTC, amounts exact text, states equal to the values of the enums of `domain`.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

from imeiflow.domain.item import OrderKind
from imeiflow.domain.order import JobState, OrderState, Policy, ResultStatus
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.status import StatusAnomalyKind
from imeiflow.ledger.cell import Exact, Instant, Json
from imeiflow.ledger.change import AttemptKind

#: Every revision of the schema, oldest first; the last one is what this program writes.
REVISIONS = tuple(f"{number:04}" for number in range(1, 19))
HEAD = REVISIONS[-1]

metadata = MetaData(
    naming_convention={
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

Id = BigInteger().with_variant(Integer(), "sqlite")


def one_of(column: str, enum: type[StrEnum]) -> CheckConstraint:
    """Allow the values of `enum`, and NULL. A chain of OR: SQLite builds a table for each row to check IN."""
    values = "".join(f" OR {column} = '{member.value}'" for member in enum)
    return CheckConstraint(f"{column} IS NULL{values}", name=column)


job = Table(
    "job",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("service_name", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("wanted", String(16)),
    Column("reason", Text),
    Column("settled_reason", Text),  # what is left of the reason once nothing is unconfirmed
    Column("priority", Integer, nullable=False),
    Column("policy", String(16), nullable=False),
    Column("unit_price", Exact),
    Column("currency", String(8), nullable=False),
    Column("max_spend", Exact),
    Column("chunk_size", Integer),
    Column("largest_chunk", Integer),
    Column("max_concurrency", Integer),
    Column("rate", Float),
    Column("columns", Json),
    Column("imei_column", Text),
    Column("has_header", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    Column("worked_s", Float, nullable=False),
    Column("submitted_by", Text),
    Column("hold_after", Id),  # the last order that may be claimed while a trial is not over
    Column("follow_results", Boolean, nullable=False, server_default=false()),
    Column("kind", String(8), nullable=False, server_default=OrderKind.IMEI.value),
    one_of("state", JobState),
    one_of("policy", Policy),
    CheckConstraint("wanted IN ('paused', 'cancelled')", name="wanted"),
    Index("ix_job_account", "account", "state"),
    sqlite_autoincrement=True,
)

orders = Table(
    "orders",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("job.id"), nullable=False),
    Column("line", Integer, nullable=False),
    Column("imei", Text),
    Column("value", Text),
    Column("repairs", Text),
    Column("flaw", Text),
    Column("repeated_of", Integer),
    Column("earlier_id", Id),  # the order of an earlier job that a repeated row repeats
    Column("state", String(16), nullable=False),
    Column("attempt_id", Id),
    Column("attempts", Integer, nullable=False),
    Column("reference", Text),
    Column("status", String(16)),
    Column("status_at", Instant),
    Column("result", Text),
    Column("error_kind", String(16)),
    Column("error", Text),
    Column("price", Exact),
    Column("charges", Integer, nullable=False),
    Column("accepted_at", Instant),
    Column("completed_at", Instant),
    Column("columns", Text),
    Column("due_at", Instant),  # when the provider is asked for its status next; NULL: never again
    Column("misses", Integer, nullable=False, server_default=text("0")),  # replies in a row that did not name it
    one_of("state", OrderState),
    one_of("status", ResultStatus),
    one_of("error_kind", ErrorKind),
    CheckConstraint("charges >= 0", name="charges"),
    Index("ix_orders_claim", "job_id", "state", "id"),
    Index("ix_orders_imei", "imei", sqlite_where=text("imei IS NOT NULL"), postgresql_where=text("imei IS NOT NULL")),
    Index(
        "ix_orders_reference",
        "reference",
        sqlite_where=text("reference IS NOT NULL"),
        postgresql_where=text("reference IS NOT NULL"),
    ),
    Index(
        "ix_orders_status",
        "job_id",
        "status",
        "state",
        "id",
        sqlite_where=text("status IS NOT NULL"),
        postgresql_where=text("status IS NOT NULL"),
    ),
    Index(  # of accepted orders whose placing call named no status: few, and not for long
        "ix_orders_unheard",
        "job_id",
        "state",
        "status",
        sqlite_where=text("status IS NULL AND state = 'accepted'"),
        postgresql_where=text("status IS NULL AND state = 'accepted'"),
    ),
    *(
        Index(
            f"ix_orders_{column}",
            column,
            "id",
            sqlite_where=text(f"{column} IS NOT NULL"),
            postgresql_where=text(f"{column} IS NOT NULL"),
        )
        for column in ("accepted_at", "completed_at")
    ),
    *(
        Index(
            f"ix_orders_job_{column}",
            "job_id",
            *keys,
            column,
            "id",
            other,
            sqlite_where=text(f"{column} IS NOT NULL"),
            postgresql_where=text(f"{column} IS NOT NULL"),
        )
        for column, keys, other in (
            # What is behind the time is looked at without reading the order.
            ("accepted_at", ("status",), "completed_at"),
            ("completed_at", ("status", "state"), "accepted_at"),
        )
    ),
    Index(
        "ix_orders_rejected",
        "job_id",
        "completed_at",
        "price",
        "charges",
        sqlite_where=text("status = 'rejected'"),
        postgresql_where=text("status = 'rejected'"),
    ),
    Index(
        "ix_orders_due",
        "job_id",
        "due_at",
        "id",
        "misses",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
)

#: What `orders.charges` come to: how often a price was charged in a job, by the quarter of an hour of the call.
charge = Table(
    "charge",
    metadata,
    Column("job_id", Id, ForeignKey("job.id"), primary_key=True, autoincrement=False),
    Column("at", Instant, primary_key=True),
    Column("price", String(40), primary_key=True),  # an exact amount; empty where it is not known
    Column("times", Integer, nullable=False),
    sqlite_with_rowid=False,
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Id, primary_key=True),
    Column("job_id", Id, ForeignKey("job.id"), nullable=False),
    Column("account", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("size", Integer, nullable=False),
    Column("token", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("ending", String(16)),
    Column("http_status", Integer),
    Column("error_kind", String(16)),
    Column("error", Text),
    Column("elapsed_ms", Integer),
    Column("problem", Text),
    Column("anomalies", Json),
    Column("headers", Json),
    one_of("kind", AttemptKind),
    one_of("ending", Ending),
    one_of("error_kind", ErrorKind),
    CheckConstraint("(ended_at IS NULL) = (ending IS NULL)", name="ended"),
    Index("ix_attempt_job_id", "job_id"),
    Index(
        "ix_attempt_open",
        "account",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index(
        "ix_attempt_probe",
        "job_id",
        sqlite_where=text("kind = 'probe'"),
        postgresql_where=text("kind = 'probe'"),
    ),
    Index(
        "ix_attempt_odd",
        "job_id",
        sqlite_where=text("anomalies IS NOT NULL"),
        postgresql_where=text("anomalies IS NOT NULL"),
    ),
)

attempt_evidence = Table(
    "attempt_evidence",
    metadata,
    Column("attempt_id", Id, ForeignKey("attempt.id"), primary_key=True, autoincrement=False),
    Column("packed", Integer, nullable=False),  # bit 0: the request is compressed, bit 1: the reply
    Column("request", LargeBinary, nullable=False),
    Column("reply", LargeBinary, nullable=False),
)

attempt_order = Table(
    "attempt_order",
    metadata,
    Column("order_id", Id, ForeignKey("orders.id"), primary_key=True, autoincrement=False),
    Column("attempt_id", Id, ForeignKey("attempt.id"), primary_key=True, autoincrement=False),
    Column("outcome", String(16), nullable=False),
    Column("reference", Text),
    Column("message", Text),
    Column("price", Exact),
    Column("charges", Integer, nullable=False),
    Column("settled_at", Instant),  # when a doubt of this attempt was settled by the user's word
    one_of("outcome", Outcome),
    Index(
        "ix_attempt_order_doubt",
        "attempt_id",
        sqlite_where=text("outcome = 'unconfirmed'"),
        postgresql_where=text("outcome = 'unconfirmed'"),
    ),
    sqlite_with_rowid=False,
)

status_change = Table(
    "status_change",
    metadata,
    Column("id", Id, primary_key=True),
    Column("order_id", Id, ForeignKey("orders.id"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("before", String(16)),
    Column("status", String(16), nullable=False),
    Column("code", Text),  # the raw code where it was new; that of a final status stands in the order
    one_of("before", ResultStatus),
    one_of("status", ResultStatus),
    Index("ix_status_change_order_id", "order_id"),
)

status_anomaly = Table(
    "status_anomaly",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("reference", Text, nullable=False),
    Column("job_id", Id, ForeignKey("job.id")),
    Column("order_id", Id, ForeignKey("orders.id")),
    Column("detail", Text, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("times", Integer, nullable=False),
    one_of("kind", StatusAnomalyKind),
    Index("ix_status_anomaly_account", "account", "kind", "reference", unique=True),
    Index("ix_status_anomaly_job_id", "job_id"),
)

order_item = Table(
    "order_item",
    metadata,
    Column("order_id", Id, ForeignKey("orders.id"), primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("file_name", Text),
    Column("content", LargeBinary),
    Column("fields", Json),
    CheckConstraint("(file_name IS NULL) = (content IS NULL)", name="content"),
    CheckConstraint("(fields IS NULL) != (content IS NULL)", name="fields"),
    Index("ix_order_item_digest", "digest"),
)

lane = Table(
    "lane",
    metadata,
    Column("account", Text, primary_key=True),
    Column("token", Integer, nullable=False),
    Column("owner", Text),
    Column("taken_at", Instant, nullable=False),
    Column("released_at", Instant),
)

learned = Table(
    "learned",
    metadata,
    Column("account", Text, primary_key=True),
    Column("service", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("value", Json, nullable=False),
    Column("reason", Text, nullable=False),
    Column("learned_at", Instant, nullable=False),
    Column("pinned", Boolean, nullable=False),
)

repeat_seen = Table(
    "repeat_seen",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("observed_at", Instant, nullable=False),
    Column("age_us", BigInteger, nullable=False),
    Column("is_refusal", Boolean, nullable=False),
    Column("of_completed", Boolean, nullable=False),
    Column("attempt_id", Id, ForeignKey("attempt.id"), nullable=False),
    Index("ix_repeat_seen_account", "account", "service"),
)

event = Table(
    "event",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("account", Text),
    Column("job_id", Id),
    Column("order_id", Id),
    Column("attempt_id", Id),
    Column("data", Json, nullable=False),
    Column("actor", Text),
    Index("ix_event_job_id", "job_id"),
)

sample = Table(
    "sample",
    metadata,
    Column("job_id", Id, ForeignKey("job.id"), primary_key=True, autoincrement=False),
    Column("at", Instant, primary_key=True, autoincrement=False),
    Column("orders_per_s", Float, nullable=False),
    Column("calls_per_s", Float, nullable=False),
    Column("in_flight", Integer, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("chunk_size", Integer, nullable=False),
    Column("pace", Float),  # calls a second
    Column("refused", Integer, nullable=False),
    Column("answered", Integer, nullable=False),
    Column("reasons", Json),
    sqlite_with_rowid=False,
)
