"""The ledger's tables of what is told to webhooks: what happened, and what became of its deliveries."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from imeiflow.domain.notice import DeliveryState, Told
from imeiflow.ledger.cell import Instant
from imeiflow.ledger.schema import Id, metadata, one_of

webhook_event = Table(
    "webhook_event",
    metadata,
    Column("webhook", Text, primary_key=True),
    Column("event", Text, primary_key=True),
)

#: What happened and has not been put into a delivery yet; written by triggers, with the change itself.
notice = Table(
    "notice",
    metadata,
    Column("id", Id, primary_key=True),
    Column("event", String(24), nullable=False),
    Column("at", Instant, nullable=False),
    Column("job_id", Id, ForeignKey("job.id"), nullable=False),
    Column("order_id", Id, ForeignKey("orders.id")),
    Column("detail", Text),
    one_of("event", Told),
    Index("ix_notice_event", "event", "job_id", "id"),
    sqlite_autoincrement=True,
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Id, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("webhook", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("job_id", Id),
    Column("count", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),  # packed
    Column("created_at", Instant, nullable=False),
    Column("since", Instant, nullable=False),  # when trying began: that of a retry begins anew
    Column("next_at", Instant, nullable=False),
    Column("ended_at", Instant),
    one_of("state", DeliveryState),
    CheckConstraint("(ended_at IS NULL) = (state = 'pending')", name="ended"),
    UniqueConstraint("webhook", "event_id"),
    Index(
        "ix_delivery_due",
        "next_at",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
    Index("ix_delivery_ended_at", "ended_at"),
)

delivery_attempt = Table(
    "delivery_attempt",
    metadata,
    Column("id", Id, primary_key=True),
    Column("delivery_id", Id, ForeignKey("delivery.id"), nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("elapsed_ms", Integer, nullable=False),
    Column("http_status", Integer),
    Column("problem", Text),
    Column("reply", Text),
    Index("ix_delivery_attempt_delivery_id", "delivery_id"),
)
