"""Signing in: passwords, sessions that can be revoked, one-time links, tokens.

Secrets are random, shown once to whom they belong, and kept as digests; passwords as argon2id (OWASP). Knows no HTTP.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from imeiflow.domain.ident import UserId
from imeiflow.domain.user import Role, check_password, read_user_name
from imeiflow.errors import UsageError
from imeiflow.ledger.user import ApiToken, Invitation, SpentLinkError, User, WebSession
from imeiflow.operations.session import Session

if TYPE_CHECKING:
    from argon2 import PasswordHasher

#: How long a link can be used, and a session lasts: unused, and at all (ASVS 3.3).
LINK_LASTS: Final = timedelta(hours=24)
SESSION_IDLE: Final = timedelta(hours=12)
SESSION_LASTS: Final = timedelta(days=7)
TOKEN_PREFIX: Final = "imeiflow_"  # noqa: S105 - so that a token that leaked is recognised as one

#: argon2 takes 64 MiB a hash: no more of them at once than this.
_HASHING: Final = threading.Semaphore(2)


class SignInError(UsageError):
    """Name or password are wrong."""

    remedy = "Try again; whoever runs this server can give you a link that sets a new password."


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session that has begun; `secret` goes into the cookie, and is kept nowhere else."""

    secret: str
    user: User
    expires_at: datetime


def invite_user(session: Session, *, role: Role, actor: str, user: UserId | None = None) -> str:
    """Make a one-time link's secret: it makes a user with a role, or sets the password of `user` anew."""
    secret = secrets.token_urlsafe(32)
    expires_at = session.clock.now() + LINK_LASTS
    session.ledger.create_invitation(_digest(secret), role=role, actor=actor, expires_at=expires_at, user=user)
    return secret


def find_invitation(session: Session, secret: str) -> Invitation:
    """Give what a link is good for. Raises SpentLinkError."""
    found = session.ledger.find_invitation(_digest(secret))
    if found is None:
        raise SpentLinkError
    return found


def accept_invitation(session: Session, secret: str, *, name: str, password: str) -> User:
    """Use a link: make the user, or set the password. Raises SpentLinkError, NameTakenError, UsageError."""
    found = find_invitation(session, secret)
    name = found.user.name if found.user is not None else read_user_name(name)
    check_password(password, name)
    return session.ledger.accept_invitation(_digest(secret), name=name, password_hash=_hash(password))


def check_sign_in(session: Session, name: str, password: str) -> User:
    """Give the user whose name and password these are. Raises SignInError; takes as long for an unknown name."""
    found = _find_user(session, name)
    hashed = found[1] if found is not None else _nobody()
    if not _is_hash_of(hashed, password[:1024]) or found is None:
        raise SignInError
    user = found[0]
    if _hasher().check_needs_rehash(hashed):
        session.ledger.rehash_password(user.id, _hash(password))
    return user


def find_user(session: Session, name: str) -> User | None:
    """Give the user of a name as it was typed, who may sign in; None where there is none."""
    found = _find_user(session, name)
    return None if found is None else found[0]


def _find_user(session: Session, name: str) -> tuple[User, str] | None:
    try:
        return session.ledger.find_user(read_user_name(name))
    except UsageError:
        return None


def open_web_session(session: Session, user: User, *, address: str, agent: str) -> SignedIn:
    """Begin a session of a user in a browser."""
    secret = secrets.token_urlsafe(32)
    expires_at = session.clock.now() + SESSION_LASTS
    session.ledger.open_web_session(
        _digest(secret),
        user.id,
        csrf=secrets.token_urlsafe(32),
        expires_at=expires_at,
        address=address[:64],
        agent=agent[:200],
    )
    session.ledger.log_event("signed_in", actor=user.name, data={"address": address[:64]})
    return SignedIn(secret=secret, user=user, expires_at=expires_at)


def find_web_session(session: Session, secret: str, *, is_seen: bool = True) -> WebSession | None:
    """Give the session of a cookie's secret; None where it is over or was revoked.

    `is_seen`: a person asks, which keeps it alive; what an open page asks by itself does not.
    """
    return session.ledger.find_web_session(_digest(secret), idle=SESSION_IDLE, is_seen=is_seen)


def change_password(session: Session, user: User, *, old: str, new: str) -> None:
    """Set another password; every session of the user ends. Raises SignInError, UsageError."""
    check_sign_in(session, user.name, old)
    check_password(new, user.name)
    session.ledger.change_user(user.id, actor=user.name, password_hash=_hash(new))


def create_api_token(
    session: Session,
    user: User,
    *,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
    actor: str,
    maker: str | None = None,
    is_sole: bool = False,
) -> str:
    """Make a token and give its secret, which is shown once.

    `maker` is the user with whose role it ends; none where it is made at the command line, whatever the name there.
    `is_sole`: there may be no good one of that name, as there is where the same is asked for twice. Raises
    TokenTakenError.
    """
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    session.ledger.create_api_token(
        user.id,
        digest=_digest(secret),
        hint=secret[-4:],
        name=name,
        scopes=scopes,
        expires_at=expires_at,
        actor=actor,
        maker=maker,
        is_sole=is_sole,
    )
    return secret


def find_api_token(session: Session, secret: str) -> ApiToken | None:
    """Give the token of a secret; None where it was revoked or is over."""
    return session.ledger.find_api_token(_digest(secret))


def _digest(secret: str) -> str:
    """Digest a random secret: 256 bits need no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher  # noqa: PLC0415 - only whoever signs in needs it

    return PasswordHasher()


@cache
def _nobody() -> str:
    """Give a hash that no password has, so that an unknown name takes as long as a wrong password."""
    return _hash(secrets.token_urlsafe(32))


def _hash(password: str) -> str:
    with _HASHING:
        return _hasher().hash(password)


def _is_hash_of(hashed: str, password: str) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415

    try:
        with _HASHING:
            return _hasher().verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False
