"""Whose token it is that asks, and what it may do."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta

from imeiflow.domain.user import Role, Scope
from imeiflow.web.api.operation import Call, Operation
from imeiflow.web.api.value import Out


class ShownToken(Out):
    """A token, without its secret."""

    name: str
    user: str
    role: Annotated[Role, Meta(description="The user's: the token may never do more.")]
    scopes: list[Scope]
    expires_at: str | None


def show_token(call: Call) -> dict[str, Any]:
    """Say whose token this is and what it may do."""
    token = call.token
    return {
        "name": token.name,
        "user": token.user.name,
        "role": token.user.role,
        "scopes": token.scopes,
        "expires_at": token.expires_at,
    }


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/token",
        tag="Token",
        scope=Scope.READ,
        handle=show_token,
        answer=ShownToken,
        example={
            "name": "warehouse",
            "user": "mia",
            "role": "operator",
            "scopes": ["read", "order"],
            "expires_at": None,
        },
    ),
)
