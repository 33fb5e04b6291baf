"""Statements for many rows, prepared once for each size and carried out past SQLAlchemy's machinery.

They run within a transaction of SQLAlchemy's connection, on the driver's own; what they raise is the driver's.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Executable

from imeiflow.ledger.dialect import BLOCK, MOST_PARAMETERS

#: Blocks up to this size are filled up, whatever is empty in them: one step of the database is worth more.
_SMALL = 64
#: Beyond this size a block saves nothing more, and preparing it costs.
_LARGEST = 1024


class Bulk:
    """A constant statement over a block of rows (`block_rows`) with `width` values each.

    Sizes are powers of two, the rest of a block is filled with rows of NULL: a handful of prepared statements serve
    groups of any size, in one or two steps of the database.
    """

    def __init__(self, statement: Executable, width: int) -> None:
        self.statement = statement
        self.width = width
        self.largest = min(_LARGEST, 1 << (MOST_PARAMETERS // (width + 1)).bit_length() - 1)
        self._forms: dict[tuple[str, int], tuple[str, tuple[object, ...], tuple[object, ...]]] = {}

    def run(self, connection: Connection, values: list[object]) -> int:
        """Carry it out for rows that are given as one flat list, as the driver takes them; count the rows changed."""
        width, at, changed = self.width, 0, 0
        cursor = connection.connection.cursor()
        try:
            while at < len(values):
                size = self._choose_size((len(values) - at) // width)
                sql, before, after = self._form(connection, size)
                part = values[at : at + size * width]
                at += size * width
                padding = [None] * (size * width - len(part))
                cursor.execute(sql, [*before, *part, *padding, *after])
                changed += cursor.rowcount
        finally:
            cursor.close()
        return changed

    def _choose_size(self, rows: int) -> int:
        """Choose the size of the next block: the power of two above, or that below where much would be empty."""
        above = 1 << (rows - 1).bit_length()
        is_wasteful = above > _SMALL and above - rows > above // 4
        return min(self.largest, above // 2 if is_wasteful else above)

    def compile(self, connection: Connection, size: int) -> str:
        """Give its text for `size` rows."""
        return self._form(connection, size)[0]

    def _form(self, connection: Connection, size: int) -> tuple[str, tuple[object, ...], tuple[object, ...]]:
        key = connection.dialect.name, size
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = self._write(connection, size)
        return form

    def _write(self, connection: Connection, size: int) -> tuple[str, tuple[object, ...], tuple[object, ...]]:
        compiled = self.statement.compile(dialect=connection.dialect)  # type: ignore[attr-defined]
        names: Sequence[str] = compiled.positiontup
        at = names.index(BLOCK)
        row = f"({', '.join('?' * self.width)})"
        sql = str(compiled).replace("(VALUES (?))", f"(VALUES {', '.join([row] * size)})")
        before, after = ([compiled.params[name] for name in part] for part in (names[:at], names[at + 1 :]))
        return sql, tuple(before), tuple(after)
