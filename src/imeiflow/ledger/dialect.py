"""All that differs between the databases: rows carried as JSON, connection settings, triggers, error codes.

No other module of the ledger may hold SQL of one database only. PostgreSQL's forms stand beside SQLite's; its
connections are not opened yet.

A statement for many rows is one step of the database: sqlite3 gives the GIL back for each step, and beside a busy
event loop each return may wait a switch interval (5 ms). What is looked up or read in travels as one JSON parameter;
what is written while calls are under way as a block of parameters (`Bulk`), which costs the interpreter less.
"""

from __future__ import annotations

import json
import sqlite3
import time
from enum import Enum, auto
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import (
    Connection,
    Executable,
    Row,
    Select,
    Subquery,
    Table,
    TableClause,
    bindparam,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.type_api import TypeEngine
from sqlalchemy.types import Text

#: A row whose columns nobody has typed.
AnyRow: TypeAlias = Row[*tuple[Any, ...]]

BUSY_TIMEOUT_S = 5.0
_ASK_AGAIN_S = 0.02
#: Pages of the write-ahead log before it is copied back: large groups of random pages would copy too often else.
_CHECKPOINT_PAGES = 8000
_CACHE_KIB = 32768


class _Elements(FunctionElement[Any]):
    """The elements of the JSON array of a parameter, one a row, in a column `value`."""

    name = "elements"
    inherit_cache = True


@compiles(_Elements, "sqlite")
def _elements_sqlite(element: _Elements, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **kw)})"


@compiles(_Elements, "postgresql")
def _elements_postgresql(element: _Elements, compiler: SQLCompiler, **kw: Any) -> str:
    return f"jsonb_array_elements(CAST({compiler.process(element.clauses, **kw)} AS JSONB))"


class _Item(FunctionElement[Any]):
    """One item of a JSON array, by position, as a typed SQL value."""

    name = "item"
    inherit_cache = True

    def __init__(self, value: ColumnElement[Any], position: str, type_: TypeEngine[Any]) -> None:
        super().__init__(value, text(position))
        self.type = type_


@compiles(_Item, "sqlite")
def _item_sqlite(element: _Item, compiler: SQLCompiler, **kw: Any) -> str:
    value, position = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"json_extract({value}, '$[{position}]')"


@compiles(_Item, "postgresql")
def _item_postgresql(element: _Item, compiler: SQLCompiler, **kw: Any) -> str:
    value, position = (compiler.process(clause, **kw) for clause in element.clauses)
    as_type = compiler.dialect.type_compiler_instance.process(element.type)
    return f"CAST({value} ->> {position} AS {as_type})"


class _Block(FunctionElement[Any]):
    """Rows of parameters; `Bulk` puts as many of them in the place of its one parameter as it carries."""

    name = "block"
    inherit_cache = True


@compiles(_Block)
def _block(element: _Block, compiler: SQLCompiler, **kw: Any) -> str:
    return f"(VALUES ({compiler.process(element.clauses, **kw)}))"


class _Cell(FunctionElement[Any]):
    """One column of a block of rows, typed."""

    name = "cell"
    inherit_cache = True

    def __init__(self, value: ColumnElement[Any], type_: TypeEngine[Any]) -> None:
        super().__init__(value)
        self.type = type_


@compiles(_Cell, "sqlite")
def _cell_sqlite(element: _Cell, compiler: SQLCompiler, **kw: Any) -> str:
    return compiler.process(element.clauses, **kw)


@compiles(_Cell, "postgresql")
def _cell_postgresql(element: _Cell, compiler: SQLCompiler, **kw: Any) -> str:
    as_type = compiler.dialect.type_compiler_instance.process(element.type)
    return f"CAST({compiler.process(element.clauses, **kw)} AS {as_type})"


class _Array(FunctionElement[Any]):
    """A JSON array of its columns."""

    name = "array"
    inherit_cache = True
    type = Text()


@compiles(_Array, "sqlite")
def _array_sqlite(element: _Array, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **kw)}))"


@compiles(_Array, "postgresql")
def _array_postgresql(element: _Array, compiler: SQLCompiler, **kw: Any) -> str:
    columns = compiler.process(element.clauses, **kw)
    return f"CAST(COALESCE(json_agg(json_build_array({columns})), '[]') AS TEXT)"


def json_rows(parameter: str = "rows", /, **columns: TypeEngine[Any]) -> Subquery:
    """Give the rows of a parameter (see `encode_rows`) as a subquery with these columns, in this order."""
    each = _Elements(bindparam(parameter, type_=Text())).table_valued("value", name="each")
    items = [
        _Item(each.c.value, str(position), type_).label(name) for position, (name, type_) in enumerate(columns.items())
    ]
    return select(*items).subquery(f"each_of_{parameter}")


#: The parameter of a block, and what stands for it in a compiled statement.
BLOCK = "block"
#: Parameters of one statement: SQLite's own limit is 32,766 (some distributions raise it), PostgreSQL's 65,535.
MOST_PARAMETERS = 32_766


def block_rows(**columns: TypeEngine[Any]) -> Subquery:
    """Give the rows of a block of parameters (see `Bulk`) as a subquery; those whose first value is NULL are none."""
    names = [f"column{position}" for position in range(1, len(columns) + 1)]
    each = _Block(bindparam(BLOCK, type_=Text())).table_valued(*names, name="each")
    cells = [_Cell(each.c[cell], type_).label(name) for cell, (name, type_) in zip(names, columns.items(), strict=True)]
    return select(*cells).where(each.c.column1.is_not(None)).subquery("each_of_block")


def add_up(table: Table, rows: Select[Any], column: str) -> Executable:
    """Give the statement that inserts `rows`, or adds their `column` to that of the row that has their key.

    Both databases write it alike; SQLAlchemy has it only as a statement of one of them.
    """
    statement = insert(table).from_select([each.name for each in table.c], rows)
    keys = [each.name for each in table.primary_key]
    return statement.on_conflict_do_update(
        index_elements=keys, set_={column: table.c[column] + statement.excluded[column]}
    )


class Listing:
    """A statement all of whose rows are fetched in one step.

    One that is asked often is made once: to put it together takes longer than to carry it out.
    """

    __slots__ = ("_whole",)

    def __init__(self, statement: Select[Any]) -> None:
        self._whole = select(_Array(*statement.subquery("s").c))

    def fetch(self, connection: Connection, parameters: dict[str, object] | None = None) -> list[list[Any]]:
        """Fetch its rows, as lists in its order; times and amounts stay as stored."""
        return json.loads(connection.execute(self._whole, parameters or {}).scalar_one())  # type: ignore[no-any-return]


def fetch_rows(
    connection: Connection, statement: Select[Any], parameters: dict[str, object] | None = None
) -> list[list[Any]]:
    """Fetch all rows of a statement that is asked once as a `Listing` does."""
    return Listing(statement).fetch(connection, parameters)


@cache
def _ask_last_id(table: TableClause) -> str:
    return str(select(func.max(table.c.id)))


def next_ids(connection: Connection, table: TableClause, count: int) -> range:
    """Reserve ascending ids for `count` new rows of `table`; the transaction must hold the write lock."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(_ask_last_id(table))
        ((last,),) = cursor.fetchall()
    finally:
        cursor.close()
    first = (last or 0) + 1
    return range(first, first + count)


def prepare_writer(connection: sqlite3.Connection) -> None:
    """Set up a connection that writes: durable at every commit."""
    mode = _turn_to_wal(connection)
    if mode != "wal":
        raise sqlite3.NotSupportedError(f"no write-ahead log on this file system (journal mode {mode})")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    _prepare(connection)


def _turn_to_wal(connection: sqlite3.Connection) -> str:
    """Have a file keep a write-ahead log from now on, and give the mode that it has then.

    Of several programs that open a new file at once SQLite turns all but one away without waiting, whatever its
    time-out: they have to ask again.
    """
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            mode: str = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_ASK_AGAIN_S)
        else:
            return mode


def prepare_reader(connection: sqlite3.Connection) -> None:
    """Set up a connection that may only read."""
    _prepare(connection)
    connection.execute("PRAGMA query_only=ON")


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute("PRAGMA temp_store=MEMORY")


def begin(connection: Connection, *, is_writer: bool) -> None:
    """Begin a transaction; a writer takes the write lock at once, so that it never fails half-way for want of it."""
    cursor = connection.connection.cursor()
    cursor.execute("BEGIN IMMEDIATE" if is_writer else "BEGIN")
    cursor.close()


def forbid_changes(dialect: str, table: str) -> list[str]:
    """Give the statements that make `table` append-only."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for change in ("UPDATE", "DELETE")
        ]
    function = (
        f"CREATE FUNCTION {table}_no_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    trigger = (
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_no_change()"
    )
    return [function, trigger]


class Fault(Enum):
    """What kind of trouble a database reports."""

    BUSY = auto()
    FULL = auto()
    INPUT_OUTPUT = auto()
    CORRUPT = auto()
    DENIED = auto()
    OTHER = auto()


_FAULTS = {
    sqlite3.SQLITE_BUSY: Fault.BUSY,
    sqlite3.SQLITE_LOCKED: Fault.BUSY,
    sqlite3.SQLITE_FULL: Fault.FULL,
    sqlite3.SQLITE_IOERR: Fault.INPUT_OUTPUT,
    sqlite3.SQLITE_CORRUPT: Fault.CORRUPT,
    sqlite3.SQLITE_NOTADB: Fault.CORRUPT,
    sqlite3.SQLITE_READONLY: Fault.DENIED,
    sqlite3.SQLITE_PERM: Fault.DENIED,
    sqlite3.SQLITE_AUTH: Fault.DENIED,
    sqlite3.SQLITE_CANTOPEN: Fault.DENIED,
}


def fault_of(error: BaseException) -> Fault:
    """Read the kind of trouble from the driver's exception; its low byte is the primary code."""
    code = getattr(error, "sqlite_errorcode", None)
    return Fault.OTHER if code is None else _FAULTS.get(code & 0xFF, Fault.OTHER)
