"""The ledger's tables of the web application: who may use it, and what its clients were answered."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from imeiflow.domain.user import Role
from imeiflow.ledger.cell import Exact, Instant, Json
from imeiflow.ledger.schema import Id, metadata, one_of

users = Table(
    "users",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("spend_limit", Exact),
    Column("created_at", Instant, nullable=False),
    Column("password_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    one_of("role", Role),
    UniqueConstraint("name"),
)

web_session = Table(
    "web_session",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Index("ix_web_session_user_id", "user_id"),
)

api_token = Table(
    "api_token",
    metadata,
    Column("id", Id, primary_key=True),
    Column("user_id", Id, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("hint", String(8), nullable=False),
    Column("scopes", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("used_at", Instant),
    Column("revoked_at", Instant),
    Column("created_by", Text),  # a user's name; whoever made it on the command line is none
    UniqueConstraint("digest"),
    Index("ix_api_token_user_id", "user_id"),
)

invitation = Table(
    "invitation",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("user_id", Id, ForeignKey("users.id")),  # whose password it sets anew; NULL: it makes a user
    Column("created_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    one_of("role", Role),
)

api_answer = Table(
    "api_answer",
    metadata,
    Column("user_id", Id, ForeignKey("users.id"), primary_key=True, autoincrement=False),
    Column("key", String(255), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("job_id", Id),
    Column("status", Integer),  # NULL while it is carried out
    Column("body", Text),
    Column("created_at", Instant, nullable=False),
    Index("ix_api_answer_created_at", "created_at"),
)
