"""The columns that a set of results has in an export, and a result's cells in them.

Known names come first, always in the same order; unknown keys follow in the order in which they were first seen.
Nothing is lost when there are too many of them: what has no column of its own stands in another one, with its key.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeAlias

from imeiflow.results.result import Field, Kind, Result
from imeiflow.results.vocabulary import NAMES

MOST_UNKNOWN: Final = 100  #: unknown keys with a column of their own
_PREFIX: Final = "result_"
_JOINT: Final = "; "

Cell: TypeAlias = str | date | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, the kind of its values, and the fields that stand in it."""

    heading: str
    kind: Kind
    name: str


#: Names of the columns that are not fields; no key can be one, since it would end in a colon.
_REMARKS: Final = "remarks:"
_OTHERS: Final = "others:"
_NOTES: Final = "notes:"


class ColumnCollector:
    """Collects the columns of results and fills their cells, one result after the other.

    Its memory does not grow with their number.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._unknown: dict[str, str] = {}
        self._has_remarks = False
        self._has_others = False
        self._has_notes = False

    def add(self, result: Result) -> dict[str, Cell]:
        """Take note of what columns a result needs, and fill its cells, by the names of their columns.

        A cell is None where it says nothing, a date where only one can be meant, else text, normalised where that is
        safe. What a result says several times stands in one cell, each different value once.
        """
        groups: dict[str, list[Field]] = {}
        for field in result.fields:
            groups.setdefault(self._find_column(field), []).append(field)
        cells = {name: _fill_cell(name, fields) for name, fields in groups.items()}
        if result.remarks:
            self._has_remarks = True
            cells[_REMARKS] = _JOINT.join(result.remarks)
        notes = [note.sentence for note in result.notes if not note.is_plain]
        if notes:
            self._has_notes = True
            cells[_NOTES] = " ".join(notes)
        return cells

    def _find_column(self, field: Field) -> str:
        """Name the column that a field stands in, a new one if there is room."""
        if field.is_known:
            self._known.add(field.name)
            return field.name
        name = field.name.casefold()
        if name not in self._unknown:
            if len(self._unknown) == MOST_UNKNOWN:
                self._has_others = True
                return _OTHERS
            self._unknown[name] = field.name
        return name

    def list_columns(self, taken: Collection[str] = ()) -> tuple[Column, ...]:
        """List the columns. A heading that is taken, in any case, has `result_` put before it until it is not."""
        wanted = [Column(name, kind, name) for name, kind in NAMES.items() if name in self._known]
        wanted += [Column(key, Kind.TEXT, name) for name, key in self._unknown.items()]
        wanted += [Column("other_results", Kind.TEXT, _OTHERS)] if self._has_others else []
        wanted += [Column("remarks", Kind.TEXT, _REMARKS)] if self._has_remarks else []
        wanted += [Column("notes", Kind.TEXT, _NOTES)] if self._has_notes else []
        used = {heading.casefold() for heading in taken}
        columns = []
        for column in wanted:
            heading = column.heading
            while heading.casefold() in used:
                heading = _PREFIX + heading
            used.add(heading.casefold())
            columns.append(Column(heading, column.kind, column.name))
        return tuple(columns)


def _fill_cell(name: str, fields: Sequence[Field]) -> Cell:
    first = fields[0]
    if name == _OTHERS:
        return _JOINT.join(f"{field.key}: {field.shown}" for field in fields)
    if len(fields) > 1:
        return _JOINT.join(dict.fromkeys(field.shown for field in fields))
    return first.dates[0] if len(first.dates) == 1 else first.shown
