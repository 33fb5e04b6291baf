"""What the ledger tells of users, their sessions, tokens and links, and what cannot be done with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Label, Table

from imeiflow.domain.ident import UserId
from imeiflow.domain.user import Role
from imeiflow.errors import UsageError
from imeiflow.ledger.dialect import AnyRow


class NameTakenError(UsageError):
    """There is a user {name} already."""

    remedy = "Take another name."


class TokenTakenError(UsageError):
    """There is a good token {name} of {user} already."""

    remedy = "Take another name; or revoke that one first, if nobody has its secret."


class SpentLinkError(UsageError):
    """This link was used before, or is too old."""

    remedy = "Ask whoever gave it to you for another one."


class LastAdminError(UsageError):
    """User {name} is the only administrator: somebody has to be."""

    remedy = "Make another user an administrator first."


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who may sign in. `spend_limit` is what their orders of a day may cost, None: any amount."""

    id: UserId
    name: str
    role: Role
    spend_limit: Decimal | None
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSession:
    """A browser in which a user is signed in. `digest` is of the cookie's secret."""

    digest: str
    user: User
    csrf: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    address: str
    agent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A program's way in, with what it may do. `hint` is the end of the secret, to tell one from another."""

    id: int
    user: User
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None
    created_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A one-time link: it makes a user, or (`user`) sets a user's password anew. `digest` is of its secret."""

    digest: str
    role: Role
    user: User | None
    created_by: str
    created_at: datetime
    expires_at: datetime


def read_user(row: AnyRow) -> User:
    """Read a user from their row."""
    return User(
        id=UserId(row.id),
        name=row.name,
        role=Role(row.role),
        spend_limit=row.spend_limit,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
    )


def prefixed(table: Table, prefix: str) -> list[Label[Any]]:
    """Name a table's columns apart from those of `users`."""
    return [column.label(f"{prefix}_{column.name}") for column in table.columns]


def read_session(row: AnyRow) -> WebSession:
    """Read a session, its columns named apart, with its user."""
    return WebSession(
        digest=row.session_digest,
        user=read_user(row),
        csrf=row.session_csrf,
        created_at=row.session_created_at,
        seen_at=row.session_seen_at,
        expires_at=row.session_expires_at,
        address=row.session_address,
        agent=row.session_agent,
    )


def read_token(row: AnyRow) -> ApiToken:
    """Read a token, its columns named apart, with its user."""
    return ApiToken(
        id=row.token_id,
        user=read_user(row),
        name=row.token_name,
        hint=row.token_hint,
        scopes=tuple(row.token_scopes),
        created_at=row.token_created_at,
        expires_at=row.token_expires_at,
        used_at=row.token_used_at,
        revoked_at=row.token_revoked_at,
        created_by=row.token_created_by,
    )
