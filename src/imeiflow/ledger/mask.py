"""Texts with their ids blanked, so that those are alike that say the same; in Python and in SQL, for both databases."""

from __future__ import annotations

import re
import sqlite3
from typing import Any, Final

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Text

#: What looks like an id, a number or a time: five characters or more in a row, a digit among them.
_PATTERN: Final = r"(?=[0-9A-Za-z_.:/-]*[0-9])[0-9A-Za-z_.:/-]{5,}"
_ID: Final = re.compile(_PATTERN)
_MASK: Final = "…"


def mask_ids(text: str | None) -> str | None:
    """Blank whatever in a text looks like an id; shorter numbers stay, such as those of HTTP."""
    return None if text is None else _ID.sub(_MASK, text)


class Masked(FunctionElement[str]):
    """`mask_ids` of a text, in SQL."""

    inherit_cache = True
    type = Text()


@compiles(Masked, "sqlite")
def _masked_sqlite(element: Masked, compiler: SQLCompiler, **kw: Any) -> str:
    return f"mask_ids({compiler.process(element.clauses, **kw)})"


@compiles(Masked, "postgresql")
def _masked_postgresql(element: Masked, compiler: SQLCompiler, **kw: Any) -> str:
    return f"regexp_replace({compiler.process(element.clauses, **kw)}, '{_PATTERN}', '{_MASK}', 'g')"


def add_functions(connection: sqlite3.Connection) -> None:
    """Give SQLite the function; PostgreSQL has one of its own."""
    connection.create_function("mask_ids", 1, mask_ids, deterministic=True)
