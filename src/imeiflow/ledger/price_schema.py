"""The ledger's tables of price lists: what each service cost, and when the list was last fetched."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, Text

from imeiflow.ledger.dialect import Exact, Instant
from imeiflow.ledger.schema import Id, metadata

service_price = Table(
    "service_price",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("price", Exact),
    Column("currency", String(8), nullable=False),
    Column("delivery", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("is_listed", Boolean, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Index("ix_service_price_account", "account", "service"),
)

#: When the price list was last fetched: `service_price` has only what changed.
price_list = Table(
    "price_list",
    metadata,
    Column("account", Text, primary_key=True),
    Column("fetched_at", Instant, nullable=False),
)
