"""Who may use the web application, and what a role allows. Pure."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Final, assert_never

from imeiflow.errors import UsageError

SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 256

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")


class Role(StrEnum):
    """What a user may do. Each role may do all that the ones before it may."""

    VIEWER = "viewer"  #: looks, and exports
    OPERATOR = "operator"  #: orders, pauses, cancels, retries, settles
    ADMIN = "admin"  #: also users, tokens of others, accounts, settings

    def allows(self, needed: Role) -> bool:
        """Say whether this role may do what needs `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Scope(StrEnum):
    """What a program may do with a token; never more than the token's user may."""

    READ = "read"  #: jobs, orders, exports, services, accounts, spending
    ORDER = "order"  #: also create, confirm, resume, pause, cancel and retry jobs
    SETTLE = "settle"  #: also say what became of unconfirmed orders
    ADMIN = "admin"  #: all of it, and what was told to webhooks

    @property
    def role(self) -> Role:
        """Give the role that a user needs for it."""
        match self:
            case Scope.READ:
                return Role.VIEWER
            case Scope.ORDER | Scope.SETTLE:
                return Role.OPERATOR
            case Scope.ADMIN:
                return Role.ADMIN
            case _:
                assert_never(self)

    def is_in(self, scopes: AbstractSet[str]) -> bool:
        """Say whether a token with these scopes may do it: each may read, and `admin` may do all."""
        return self in scopes or Scope.ADMIN in scopes or (self is Scope.READ and bool(scopes))


def read_user_name(text: str) -> str:
    """Give a user's name as it is kept: in lower case. Raises UsageError with the accepted form."""
    name = text.strip().lower()
    if not _NAME.fullmatch(name):
        raise UsageError(
            problem=f"{text.strip()[:80]!r} cannot be a user's name",
            remedy="Use 1 to 64 letters, digits or . _ @ + -, and begin with a letter or a digit.",
        )
    return name


def check_password(password: str, name: str) -> None:
    """Raise UsageError where a password is too short, too long, or the user's own name (ASVS 2.1)."""
    if len(password) < SHORTEST_PASSWORD:
        raise UsageError(
            problem=f"the password has {len(password)} characters",
            remedy=f"Take {SHORTEST_PASSWORD} or more: four words that belong to no sentence are good.",
        )
    if len(password) > LONGEST_PASSWORD:
        raise UsageError(problem="the password is too long", remedy=f"Take at most {LONGEST_PASSWORD} characters.")
    plain = password.casefold()
    if len(set(plain)) < 5 or (name and plain.replace(name, "").strip(" 0123456789") == ""):
        raise UsageError(problem="the password is easy to guess", remedy="Take words that nobody would try first.")
