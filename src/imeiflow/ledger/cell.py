"""What times, sums, texts and JSON are in the ledger's columns, whichever the database.

What no database takes is replaced here, so that the rest of a text is kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Dialect, String, TypeDecorator
from sqlalchemy.types import Text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(at: datetime | None) -> int | None:
    """Turn an aware time into microseconds since 1970, UTC."""
    return None if at is None else (at - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=4096)
def from_micros(micros: int | None) -> datetime | None:
    """Turn microseconds since 1970 into an aware time, UTC. Remembered: the orders of a call share theirs."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


class Instant(TypeDecorator[datetime]):
    """An aware time, stored as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return from_micros(value)


class Exact(TypeDecorator[Decimal]):
    """An exact amount, stored as text."""

    impl = String(40)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else Decimal(value)


class Json(TypeDecorator[Any]):
    """A JSON value, stored as text: the ledger never looks inside by SQL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else encode(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> object:  # noqa: ARG002
        return None if value is None else json.loads(value)


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)
encode = _encoder.encode


def encode_rows(rows: Sequence[Sequence[object]]) -> str:
    """Encode rows of None, bool, int, float and str for `json_rows`; what is no text in UTF-8 is replaced."""
    return _mend(encode(rows))


def _mend(payload: str) -> str:
    """Replace what databases refuse in a text: a NUL, and halves of surrogate pairs."""
    if "\\u0000" in payload:
        payload = payload.replace("\\u0000", "\\ufffd")
    return payload if payload.isascii() else payload.encode("utf-8", "replace").decode("utf-8")


def encode_json(value: Any) -> str | None:
    """Encode a JSON value, None for an empty one."""
    return _mend(encode(value)) if value else None


@lru_cache(maxsize=256)
def encode_pairs(*pairs: tuple[str, str]) -> str | None:
    """Encode a JSON object, None for an empty one. It is remembered: replies of one second bear the same headers."""
    return encode_json(dict(pairs))


def mend_text(value: str | None) -> str | None:
    """Give a text as databases take it, None for an empty one."""
    if not value:
        return None
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
