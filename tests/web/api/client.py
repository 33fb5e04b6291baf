"""A program that uses the REST API of a site, as any would: over a socket, with a token."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

from jsonschema_rs import Draft202012Validator

from imeiflow.domain.user import Role, Scope
from imeiflow.ledger.user import User
from imeiflow.operations.identity import create_api_token
from imeiflow.web.api.description import BASE, describe
from tests.web.site import Site

PATIENCE_S = 120.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def value(self) -> Any:
        """Give the JSON value, amounts exact."""
        return json.loads(self.raw, parse_float=Decimal)


class Program:
    """Holds one token of a site."""

    def __init__(self, site: Site, secret: str | None) -> None:
        self.site = site
        self.secret = secret

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Send a request; `body` as JSON unless it is bytes."""
        target = f"{BASE}{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        sent = {} if self.secret is None else {"authorization": f"Bearer {self.secret}"}
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if raw is not None and not isinstance(body, bytes):
            sent["content-type"] = "application/json"
        connection = http.client.HTTPConnection(urlsplit(self.site.base_url).netloc, timeout=PATIENCE_S)
        try:
            connection.request(method, target, raw, {**sent, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **query: Any) -> Any:
        """Ask for a value that is there."""
        answer = self.ask("GET", path, query=query)
        assert answer.status == 200, answer.raw
        return answer.value

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """Ask for a change that is made."""
        answer = self.ask("POST", path, {} if body is None else body, headers=with_key(key))
        assert answer.status in {200, 201, 202}, answer.raw
        return answer.value


def with_key(key: str | None) -> dict[str, str]:
    """Give the header of an idempotency key."""
    return {} if key is None else {"idempotency-key": key}


def enter(site: Site, *scopes: Scope, role: Role = Role.ADMIN, user: User | None = None, name: str = "mia") -> Program:
    """Make a user and a token, and give the program that holds it."""
    owner = user or site.add_user(name, role)
    secret = create_api_token(
        site.session, owner, name="a test", scopes=scopes or (Scope.ADMIN,), expires_at=None, actor="a test"
    )
    return Program(site, secret)


def check_problem(answer: Answer, status: int, code: str) -> dict[str, Any]:
    """See that an answer tells of a problem as the standard wants it, and give it."""
    assert answer.status == status, answer.raw
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.value
    assert told["status"] == status
    assert told["type"].rpartition("#")[2] == f"problem-{code}"
    assert told["title"]
    assert told["detail"]
    return told


def check_schema(value: Any, name: str) -> None:
    """See that a value is what the description says of it, and nothing more."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": _close(describe()["components"])}
    Draft202012Validator(schema).validate(json.loads(json.dumps(value, default=float)))


def _close(value: Any) -> Any:
    """Let a schema allow no field that it does not name."""
    if isinstance(value, list):
        return [_close(one) for one in value]
    if not isinstance(value, dict):
        return value
    closed = {key: _close(one) for key, one in value.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed
