"""The rows of a list on their way into a draft: checked, and laid out column by column, as a million of them need it.

Decides nothing about them: what an IMEI is and which row repeats another, the caller knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain, repeat
from json.encoder import encode_basestring as encode_text
from typing import Any

from sqlalchemy import Connection, Integer, Text, insert, literal, select
from sqlalchemy.types import TypeEngine

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState
from imeiflow.errors import GuardError
from imeiflow.ledger.bulk import Bulk
from imeiflow.ledger.cell import mend_text
from imeiflow.ledger.dialect import block_rows
from imeiflow.ledger.record import NewOrder
from imeiflow.ledger.schema import Id, orders

#: The columns, in the order in which NewOrder holds their values.
_TYPES: Mapping[str, TypeEngine[Any]] = {
    "line": Integer(),
    "imei": Text(),
    "columns": Text(),
    "state": Text(),
    "value": Text(),
    "repairs": Text(),
    "flaw": Text(),
    "repeated_of": Integer(),
    "earlier_id": Id,
    "error": Text(),
}
_ALWAYS = frozenset({"line", "imei"})
#: States of a row when it is read in, as the driver takes them.
_FIRST_STATES = {state: state.value for state in (OrderState.QUEUED, OrderState.INVALID, OrderState.REPEATED)}


def write_rows(connection: Connection, job_id: JobId, cells: Mapping[str, Iterable[object]]) -> None:
    """Write rows, as `arrange` gave them, within the transaction."""
    values = chain.from_iterable(zip(repeat(job_id), *cells.values()))
    _insert_orders(tuple(cells)).run(connection, list(values))


@cache
def _insert_orders(names: tuple[str, ...]) -> Bulk:
    """Give the statement for rows that carry these columns only."""
    rows = block_rows(job_id=Id, **{name: _TYPES[name] for name in names})
    fixed = {"attempts": literal(0), "charges": literal(0)}
    if "state" not in names:
        fixed["state"] = literal(OrderState.QUEUED.value)
    statement = insert(orders).from_select([*fixed, *rows.c.keys()], select(*fixed.values(), *rows.c))
    return Bulk(statement, len(rows.c))


def arrange(rows: Sequence[NewOrder], path: str) -> dict[str, Sequence[object]]:
    """Check new rows and give their cells by column, those columns only that any of them carries.

    Raises GuardError for a row in a state of later, or without an IMEI to be sent.
    """
    cells: dict[str, Sequence[Any]] = dict(zip(_TYPES, zip(*rows, strict=True), strict=True))
    _check(cells, path)
    used = {name: column for name, column in cells.items() if name in _ALWAYS or column.count(None) < len(rows)}
    if used["state"].count(OrderState.QUEUED) == len(rows):
        del used["state"]
    else:
        used["state"] = list(map(_FIRST_STATES.get, used["state"]))
    for name, encode in _ENCODERS.items():
        if name in used:
            used[name] = encode(used[name])
    return used


def _check(cells: Mapping[str, Sequence[Any]], path: str) -> None:
    odd = set(cells["state"]) - _FIRST_STATES.keys()
    if odd:
        raise GuardError(path=path, problem=f"a new order cannot be {min(odd)}")
    if None in cells["imei"]:
        for line, imei, state in zip(cells["line"], cells["imei"], cells["state"], strict=True):
            if imei is None and state is OrderState.QUEUED:
                raise GuardError(path=path, problem=f"line {line} has no IMEI to be sent")


def _encode_texts(texts: Sequence[str | None]) -> Sequence[str | None]:
    return texts if _is_plain("".join(filter(None, texts))) else list(map(mend_text, texts))


def _encode_columns(rows: Sequence[Sequence[str] | None]) -> list[str | None]:
    return [None if row is None else _encode_row(row) for row in rows]


def _encode_row(row: Sequence[str]) -> str:
    """Give a row's cells as a JSON array."""
    encoded = ",".join(map(encode_text, row))
    if not encoded.isascii() or "\\u0000" in encoded:
        encoded = ",".join(encode_text(mend_text(cell) or "") for cell in row)
    return f"[{encoded}]"


def _is_plain(text: str) -> bool:
    return text.isascii() and "\0" not in text


_ENCODERS: Mapping[str, Callable[[Sequence[Any]], Sequence[object]]] = {
    "columns": _encode_columns,
    "value": _encode_texts,
    "error": _encode_texts,
}
