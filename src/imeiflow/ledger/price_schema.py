"""The ledger's tables of price lists: what each service cost, and when the list was last fetched."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, String, Table, Text

from imeiflow.domain.item import OrderKind
from imeiflow.ledger.cell import Exact, Instant
from imeiflow.ledger.schema import Id, metadata

service_price = Table(
    "service_price",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account", Text, nullable=False),
    Column("kind", String(8), nullable=False, server_default=OrderKind.IMEI.value),
    Column("service", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("price", Exact),
    Column("currency", String(8), nullable=False),
    Column("delivery", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("is_listed", Boolean, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("known_at", Instant),  # when the last list was asked for that had it otherwise; NULL: none, or not known
    Index("ix_service_price_account", "account", "kind", "service"),
)

#: When the price list of a kind was last asked for and told: `service_price` has only what changed.
price_list = Table(
    "price_list",
    metadata,
    Column("account", Text, primary_key=True),
    Column("kind", String(8), primary_key=True, server_default=OrderKind.IMEI.value),
    Column("fetched_at", Instant, nullable=False),
)
