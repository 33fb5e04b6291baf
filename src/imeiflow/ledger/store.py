"""Opening a ledger's database: the file and who may read it, connections, and its schema."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.util import LRUCache

from imeiflow.errors import LedgerError
from imeiflow.ledger.dialect import BUSY_TIMEOUT_S, begin, prepare_reader, prepare_writer
from imeiflow.ledger.fault import DATABASE_ERRORS, translate
from imeiflow.ledger.mask import add_functions
from imeiflow.ledger.schema import HEAD, REVISIONS

_READERS = 8
#: Statements that are kept compiled: more than there are.
_COMPILED = 1000


def read_url(url_or_path: str | Path) -> URL:
    """Turn a path or a URL into the URL of a database of ours. Raises LedgerError for anything else.

    Whatever path leads to a file, it is known by the same one: locks stand beside it.
    """
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        return URL.create("sqlite", database=str(Path(url_or_path).expanduser().resolve()))
    try:
        url = make_url(url_or_path)
    except ArgumentError:
        raise LedgerError(path="(unreadable URL)", problem="its URL cannot be read") from None
    if url.get_backend_name() != "sqlite":
        raise LedgerError(path=url.render_as_string(), problem="only SQLite ledgers can be opened by this version")
    if not url.database or url.database == ":memory:":
        raise LedgerError(path=url.render_as_string(), problem="a ledger must be a file: nothing else survives a crash")
    return url.set(database=str(Path(url.database).resolve()))


def make_private(path: Path) -> None:
    """Create directory and file for the owner alone, whatever the umask; files beside it get the file's mode."""
    missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    try:
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for beside in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            if beside.exists() and beside.stat().st_mode & 0o777 != 0o600:
                beside.chmod(0o600)
    except OSError as error:
        raise LedgerError(
            path=str(path),
            problem=f"it cannot be created or kept private ({error.strerror})",
            remedy="Name a directory that belongs to you.",
        ) from error


def open_writer(url: URL) -> Engine:
    """Make the engine of the one connection that writes."""
    engine = _open(url, size=1)
    event.listen(engine, "connect", lambda connection, _: prepare_writer(connection))
    event.listen(engine, "begin", lambda connection: begin(connection, is_writer=True))
    return engine


def open_readers(url: URL) -> Engine:
    """Make the engine of the connections that only read."""
    engine = _open(url, size=_READERS)
    event.listen(engine, "connect", lambda connection, _: prepare_reader(connection))
    event.listen(engine, "connect", lambda connection, _: add_functions(connection))
    event.listen(engine, "begin", lambda connection: begin(connection, is_writer=False))
    return engine


def _open(url: URL, *, size: int) -> Engine:
    arguments: dict[str, Any] = {
        "timeout": BUSY_TIMEOUT_S,
        "isolation_level": None,
        "check_same_thread": False,
        "cached_statements": 256,
    }
    engine = create_engine(url, connect_args=arguments, pool_size=size, max_overflow=0, query_cache_size=0)
    engine.dialect, compiled = _share(url.get_backend_name())
    engine.update_execution_options(compiled_cache=compiled)
    return engine


@cache
def _share(backend: str) -> tuple[Dialect, LRUCache[Any, Any]]:
    """Give what all ledgers of a process share: a dialect, and the statements that were compiled for it.

    To compile a statement takes longer than to carry it out.
    """
    engine = create_engine(URL.create(backend))
    with engine.connect():  # the dialect learns the database's version
        pass
    engine.dispose()
    return engine.dialect, LRUCache(_COMPILED)


def bring_up_to_date(engine: Engine, path: str) -> None:
    """Create or migrate the schema. Raises LedgerError for a newer, foreign or damaged file.

    Nothing but one row is read when there is nothing to do: Alembic is imported only for work.
    """
    try:
        with engine.connect() as connection:
            found = _read_revision(connection, path)
        if found != HEAD:
            with engine.begin() as connection:
                if _read_revision(connection, path) != HEAD:
                    from imeiflow.ledger.migrations import upgrade  # noqa: PLC0415

                    upgrade(connection)
    except DATABASE_ERRORS as error:
        raise translate(error, path) from error


def _read_revision(connection: Connection, path: str) -> str | None:
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise LedgerError(path=path, problem="it is a database of another program", remedy="Name another file.")
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision is not None and revision not in REVISIONS:
        raise LedgerError(
            path=path,
            problem=f"it was written by a newer imeiflow (schema {revision}, this one knows {HEAD})",
            remedy="Update imeiflow; the ledger was not touched.",
        )
    return revision
