"""What the API offers: one value an operation, from which routing, reading, OpenAPI and the pages are made.

Knows no HTTP library; `route` carries operations out.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from imeiflow.domain.ident import JobId, UserId
from imeiflow.domain.user import Scope
from imeiflow.ledger.user import ApiToken
from imeiflow.operations.session import Session
from imeiflow.web.office import Office


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that came with a form; it lies in a private place, and its name is only ever shown."""

    name: str
    path: Path
    size: int
    digest: str


@dataclass(slots=True, kw_only=True)
class Repeat:
    """A request that came with a key. `job`: what an attempt that did not end had begun to order."""

    user: UserId
    key: str
    job: JobId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of an operation, read and checked. `path` are the parameters of its path by name."""

    office: Office
    token: ApiToken
    path: Mapping[str, Any]
    query: Any
    body: Any
    upload: Upload | None = None
    repeat: Repeat | None = None

    def repeated(self, repeat: Repeat) -> Call:
        """Give the same call, as one that came with a key."""
        return replace(self, repeat=repeat)

    @property
    def session(self) -> Session:
        """Give the ledger's session."""
        return self.office.session

    @property
    def actor(self) -> str:
        """Name who asks, for the log."""
        return self.token.user.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an operation gives where it is more than a value of status 200."""

    value: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamReply:
    """An answer that is sent while it is being made."""

    parts: AsyncIterator[bytes | str]
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


Handle: TypeAlias = Callable[[Call], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation. `query`, `body` and `answer` are msgspec types; `errors` the statuses of its own problems.

    `form`: the body may be, or without `body` is, a form with a `file` and these fields. `is_repeatable`: it takes an
    Idempotency-Key. `media_types`: what it answers with, where that is no JSON. `largest`: bytes of a JSON body.
    """

    method: str
    path: str
    tag: str
    handle: Handle
    scope: Scope
    query: type | None = None
    body: type | None = None
    answer: Any = None
    status: int = 200
    errors: tuple[int, ...] = ()
    form: type | None = None
    is_repeatable: bool = False
    media_types: tuple[str, ...] = ()
    example: Any = None
    body_example: Any = None
    query_example: Mapping[str, Any] | None = None
    path_example: Mapping[str, Any] | None = None
    largest: int = 1_000_000

    @property
    def name(self) -> str:
        """Give its name, unique in the API."""
        return self.handle.__name__

    @property
    def needs_body(self) -> bool:
        """Say whether there has to be a body: there is something in it that cannot be left out, or that it is for."""
        kinds = [kind for kind in (self.body, self.form) if kind is not None]
        return self.method == "PATCH" or any(field.required for kind in kinds for field in msgspec.structs.fields(kind))

    @property
    def summary(self) -> str:
        """Say in one line what it does."""
        return inspect.cleandoc(self.handle.__doc__ or "").splitlines()[0]

    @property
    def about(self) -> str:
        """Say what else there is to know."""
        return "\n".join(inspect.cleandoc(self.handle.__doc__ or "").splitlines()[1:]).strip()

    @property
    def parameters(self) -> tuple[str, ...]:
        """Name the parameters of its path."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))
