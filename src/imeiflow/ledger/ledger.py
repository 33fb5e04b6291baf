"""The ledger: the one record of jobs, orders and attempts. It knows the domain and the errors, no provider.

Methods that are coroutines are for the engine's event loop; all others block their thread, reads on a connection of
their own, writes until they are durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from imeiflow.domain.ident import AttemptId
from imeiflow.errors import LedgerError
from imeiflow.ledger.anomaly import StatusAnomalies
from imeiflow.ledger.answer import Answers
from imeiflow.ledger.change import Concluded, Conclusion, Intent
from imeiflow.ledger.delivery import Deliveries
from imeiflow.ledger.event import Events
from imeiflow.ledger.history import History
from imeiflow.ledger.identity import Identities
from imeiflow.ledger.item import Items
from imeiflow.ledger.known import Known
from imeiflow.ledger.lane import Lanes
from imeiflow.ledger.notice import Notices
from imeiflow.ledger.observer import Observer
from imeiflow.ledger.overview import Overview
from imeiflow.ledger.placed import Placed
from imeiflow.ledger.price import Prices
from imeiflow.ledger.price_rise import PriceRises
from imeiflow.ledger.queue import Queue
from imeiflow.ledger.reason import Reasons
from imeiflow.ledger.revival import Revivals
from imeiflow.ledger.rival import Rivals
from imeiflow.ledger.row import Rows
from imeiflow.ledger.sample import Samples
from imeiflow.ledger.search import Search
from imeiflow.ledger.spending import Spending
from imeiflow.ledger.status import Statuses
from imeiflow.ledger.store import bring_up_to_date, make_private, open_readers, open_writer, read_url
from imeiflow.ledger.summary import Summaries
from imeiflow.ledger.writer import Writer


class Ledger(
    Items,
    Lanes,
    Queue,
    Placed,
    Revivals,
    Statuses,
    StatusAnomalies,
    Summaries,
    History,
    Known,
    Rivals,
    Search,
    Rows,
    Reasons,
    Prices,
    PriceRises,
    Spending,
    Events,
    Notices,
    Deliveries,
    Identities,
    Answers,
    Samples,
    Overview,
):
    """One opened ledger. Safe to use from several threads and event loops, not across a fork."""

    @classmethod
    def open(cls, url_or_path: str | Path, *, clock: Callable[[], datetime]) -> Self:
        """Open a ledger, creating or migrating it where needed; `clock` gives aware UTC.

        The directory is created for the owner alone (0700), the files too (0600). Raises LedgerError, with a
        remedy, for a file that is damaged, foreign, of a newer version, or not ours to write.
        """
        url = read_url(url_or_path)
        path = str(url.database)
        make_private(Path(path))
        engine = open_writer(url)
        try:
            bring_up_to_date(engine, path)
        except LedgerError:
            engine.dispose()
            raise
        writer = Writer(engine, path=path, clock=clock)
        return cls(path=path, writer=writer, readers=open_readers(url), clock=clock)

    @property
    def name(self) -> str:
        """Give what tells it from others in its directory, whatever that is called in this process: for locks."""
        return Path(self.path).name

    @property
    def trouble(self) -> LedgerError | None:
        """Say what keeps the ledger from being written just now; None when all is well."""
        return self._writer.trouble

    def check_writable(self) -> None:
        """Take the lock of a writer and give it back, after all that waits. Raises LedgerError."""
        self._write(lambda _: None)
        if self.trouble is not None:
            raise self.trouble

    def observe(self, observer: Observer) -> None:
        """Let somebody count what becomes durable, from now on."""
        self._writer.observer = observer

    def intend(self, intent: Intent) -> Awaitable[AttemptId]:
        """Record, durably, an attempt that is about to leave, and take its orders: it is being written from now on.

        Nothing may be sent before what is given was awaited. A wait that is cancelled withdraws the intent; one that
        never begins does not. The wait raises FencedError where the lane was lost, GuardError where the job does not
        run or an order is not as expected, LedgerBusyError, LedgerFullError or another LedgerError where nothing can
        be written.
        """
        return self._writer.intend(intent)

    def conclude(self, conclusion: Conclusion) -> asyncio.Future[Concluded]:
        """Record, durably, how an attempt ended and what it means for its orders: so it is when what is given is done.

        It waits through a locked database and a full disk (`trouble`), and is carried out even when the wait is
        cancelled. Raises GuardError for what no order may become, LedgerError when the ledger is closed first.
        """
        return self._writer.conclude(conclusion)

    def close(self, *, timeout_s: float = 10.0) -> None:
        """Write what waits, then close; what cannot be written within `timeout_s` is given up and says so."""
        self._writer.close(timeout_s=timeout_s)
        self._readers.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
