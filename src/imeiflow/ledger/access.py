"""How the ledger's parts reach the database: reads on connections of their own, writes through the writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection, Engine

from imeiflow.errors import GuardError
from imeiflow.ledger.fault import DATABASE_ERRORS, translate
from imeiflow.ledger.writer import Writer

T = TypeVar("T")


class Access:
    """One opened ledger. Safe to use from several threads."""

    def __init__(self, *, path: str, writer: Writer, readers: Engine, clock: Callable[[], datetime]) -> None:
        self.path = path
        self.clock = clock
        self._writer = writer
        self._readers = readers

    def _write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the writer's next transaction and wait until it is durable."""
        return self._writer.run(work)

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """Open a consistent view; errors of the database come out as errors of the ledger."""
        try:
            with self._readers.connect() as connection, connection.begin():
                yield connection
        except DATABASE_ERRORS as error:
            raise translate(error, self.path) from error

    def _guard(self, *, is_met: bool, problem: str) -> None:
        if not is_met:
            raise GuardError(path=self.path, problem=problem)
