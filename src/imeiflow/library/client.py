"""The asynchronous client: orders lists through the engine, and asks the provider questions.

It holds a ledger, but no connection and no event loop.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self, Unpack

from imeiflow.domain.ident import AccountName, JobId, Reference, ServiceId
from imeiflow.domain.item import Item, OrderKind
from imeiflow.domain.order import OrderState
from imeiflow.errors import UsageError
from imeiflow.ledger.record import Job, OrderRow, PricedService
from imeiflow.library.account import Login, choose_account
from imeiflow.library.error import ClosedError, ForkedError
from imeiflow.library.follow import see_through
from imeiflow.library.item import Fields, ItemOptions, ItemTerms, OneFile, begin_items, name_fields, name_files
from imeiflow.library.log import log_by_standard_library
from imeiflow.library.report import Moment, Report, read_report
from imeiflow.library.status import fetch_statuses, keep_statuses
from imeiflow.library.submission import Options, Terms, begin_job, read_values
from imeiflow.operations.catalogue import Credit, PriceList, fetch_credit, list_services
from imeiflow.operations.orphan import recover_orphans
from imeiflow.operations.session import Session, find_account_provider
from imeiflow.operations.steering import Resumed, cancel_job, pause_job, resume_job
from imeiflow.providers.contract import OrderStatus

_PRICES_HOLD_S = 900.0
_PAGE = 1000


class AsyncClient:
    """One account at one provider, and the ledger of what was ordered there. A context manager.

    `account` names a configured one; without it, and without a login (`base_url`, `username`, `key`), it is the one of
    the environment (`GSM_FUSION_…`), or the only one. `home` is the directory of ledger and `config.toml`, by default
    `IMEIFLOW_HOME`. Raises ConfigurationError, naming the setting that is missing or wrong. Belongs to one event loop.
    """

    _opened: ClassVar[dict[str, int]] = {}  #: the ledgers that were opened, and by which process
    _opening: ClassVar[threading.Lock] = threading.Lock()  #: a new ledger is made by one at a time

    def __init__(
        self,
        account: str | None = None,
        *,
        base_url: str | None = None,
        username: str | None = None,
        key: str | None = None,
        insecure: bool = False,
        home: Path | str | None = None,
    ) -> None:
        login = Login(base_url=base_url, username=username, key=key, insecure=insecure)
        self._configuration, self._account = choose_account(account, login, home)
        self._configuration.login(self._account)
        find_account_provider(self._account)
        self._session: Session | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None
        self._is_closed = False
        self._works: set[asyncio.Task[Any]] = set()
        self._prices: tuple[float, PriceList] | None = None

    @property
    def account(self) -> AccountName:
        """Give the account's name."""
        return self._account.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}(account={self._account.name!r}, provider={self._account.provider!r})"

    async def submit(
        self,
        imeis: str | int | Iterable[str | int | None],
        service: str | int,
        *,
        on_progress: Callable[[Moment], None] | None = None,
        **options: Unpack[Options],
    ) -> Report:
        """Order a service for a list of IMEIs and follow the job to its end; the report is what the ledger says.

        The same list under the same service, begun before and not finished, is gone on with, under the terms it was
        begun with. What was ordered before is not ordered again (see `Options`). `on_progress` is called in this event
        loop, some times a second; what it raises is logged. A job that cannot go on is paused, and the report says why.
        A cancellation lets the calls under way end and pauses the job; a second one leaves at once, and their orders
        become unconfirmed. Raises UsageError, WaitingElsewhereError, UnknownPriceError: nothing was begun; LedgerError:
        a job begun is paused.
        """
        terms = Terms(service=ServiceId(str(service).strip()), **options)
        values = read_values(imeis)
        session = await asyncio.to_thread(self.open)
        listed = await self._find_service(terms.service)

        def begin() -> Resumed:
            return begin_job(session, self._account, values, terms, listed)

        return await self._follow(session, begin, on_progress)

    async def order_files(
        self,
        files: OneFile | Iterable[OneFile],
        service: str | int,
        *,
        on_progress: Callable[[Moment], None] | None = None,
        **options: Unpack[ItemOptions],
    ) -> Report:
        """Order a file service once for each file, and follow the job to its end.

        A file is a path, or a pair of its name and its content; it is known again by its content. What was accepted
        before is left out, unless `reorder`. One whose reply was lost is unconfirmed, and never sent again by itself.
        Raises WaitingItemError for what waits in an unfinished job or may have been placed, UsageError, ProviderError,
        UnknownServiceError, UnknownPriceError: nothing was begun.
        """
        terms = ItemTerms(service=ServiceId(str(service).strip()), **options)
        items = await asyncio.to_thread(name_files, files)
        return await self._order_items(items, terms, on_progress)

    async def order_server(
        self,
        orders: Fields | Iterable[Fields],
        service: str | int,
        *,
        on_progress: Callable[[Moment], None] | None = None,
        **options: Unpack[ItemOptions],
    ) -> Report:
        """Order a server service, once for each mapping of its fields (`email_951`, …), as `order_files` does."""
        terms = ItemTerms(service=ServiceId(str(service).strip()), **options)
        return await self._order_items(name_fields(orders), terms, on_progress)

    async def resume(
        self,
        job: int,
        *,
        accept_price: Decimal | None = None,
        on_progress: Callable[[Moment], None] | None = None,
    ) -> Report:
        """Go on with a job that is paused, or follow one that runs, as `submit` does.

        `accept_price` is what one order may cost where the price has risen since it was confirmed.

        Raises UnknownJobError, JobStateError for a cancelled one, and PriceRoseError where the price has risen and
        that was not accepted: nothing has been sent then.
        """
        session = await asyncio.to_thread(self.open)

        def begin() -> Resumed:
            return resume_job(session, JobId(job), accept_price=accept_price)

        return await self._follow(session, begin, on_progress)

    async def pause(self, job: int) -> None:
        """Ask for a job to be paused: whoever works on it lets calls under way end. Raises JobStateError."""
        await asyncio.to_thread(lambda: pause_job(self.open(), JobId(job)))

    async def cancel(self, job: int) -> None:
        """Give up what a job has not sent yet; what was accepted stays. Raises JobStateError."""
        await asyncio.to_thread(lambda: cancel_job(self.open(), JobId(job)))

    async def report(self, job: int) -> Report:
        """Say how a job stands. Raises UnknownJobError."""
        return await asyncio.to_thread(lambda: read_report(self.open(), JobId(job)))

    async def jobs(self) -> list[Job]:
        """List the account's jobs, newest first."""
        return await asyncio.to_thread(lambda: self.open().ledger.list_jobs(account=self._account.name))

    async def rows(self, job: int, states: AbstractSet[OrderState] | None = None) -> AsyncIterator[OrderRow]:
        """Stream a job's rows in the order of its list, or those in some states, with what became of each."""
        rows = await asyncio.to_thread(self.read_rows, job, states)
        while page := await asyncio.to_thread(lambda: list(islice(rows, _PAGE))):
            for row in page:
                yield row

    async def services(self, kind: OrderKind | str = OrderKind.IMEI) -> PriceList:
        """Fetch the price list of a kind (`imei`, `file`, `server`); without an answer it is the ledger's.

        Then `is_fresh` is false, and `problem` says why. Raises UsageError for another kind.
        """
        if kind not in list(OrderKind):
            raise UsageError(problem=f"{kind!r} is no kind of services: say imei, file or server")
        session = await asyncio.to_thread(self.open)
        of_kind = OrderKind(kind)
        prices = await asyncio.to_thread(list_services, session.ledger, self._configuration, self._account, of_kind)
        if of_kind is OrderKind.IMEI:
            self._prices = (time.monotonic(), prices)
        return prices

    async def credit(self) -> Credit:
        """Fetch the balance; None in it, with the `problem`, where the provider does not tell."""
        return await fetch_credit(self._configuration, self._account)

    async def statuses(self, references: Iterable[str | int], *, timeout_s: float | None = None) -> list[OrderStatus]:
        """Fetch what the provider says of orders, by its references, and keep it; unknown ones are left out.

        `timeout_s` is the silence that is borne in each call. Raises ProviderError where it is not answered.
        """
        session = await asyncio.to_thread(self.open)
        timeouts = self._configuration.timeouts
        connection = find_account_provider(self._account).connect(
            self._configuration.login(self._account),
            max_concurrency=1,
            timeouts=timeouts if timeout_s is None else replace(timeouts, read_s=timeout_s),
        )
        try:
            wanted = [Reference(str(reference).strip()) for reference in references]
            found = await fetch_statuses(connection, wanted, account=self._account.name)
        finally:
            await connection.close()
        await asyncio.to_thread(keep_statuses, session.ledger, self._account.name, found)
        return found

    async def close(self) -> None:
        """Pause the jobs that this client works on, as a cancellation does, and close the ledger. Harmless twice."""
        works = list(self._works)
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        await asyncio.to_thread(self.close_ledger)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def open(self) -> Session:
        """Give the session; the ledger is opened when it is first needed. Blocks. Raises ClosedError, LedgerError.

        Jobs whose process is gone are paused first.
        """
        path = str(self._configuration.ledger)
        if self._opened.setdefault(path, os.getpid()) != os.getpid():
            raise ForkedError(path=path)
        with self._opening:
            if self._is_closed:
                raise ClosedError
            if self._session is None:
                log_by_standard_library()
                session = Session.open(self._configuration)
                self._finalizer = weakref.finalize(self, _close_session, session, os.getpid())
                self._session = session
                recover_orphans(session)
            return self._session

    def close_ledger(self) -> None:
        """Close the ledger once nothing works with it any more. Blocks; harmless twice, and in a forked child."""
        with self._opening:
            self._is_closed, self._session = True, None
            if self._finalizer is not None:
                self._finalizer()

    def read_rows(self, job: int, states: AbstractSet[OrderState] | None = None) -> Iterator[OrderRow]:
        """Read a job's rows as a stream. Blocks. Raises UnknownJobError."""
        session = self.open()
        return session.ledger.order_rows(session.find_job(JobId(job)).id, states)

    async def _order_items(
        self, items: tuple[Item, ...], terms: ItemTerms, on_progress: Callable[[Moment], None] | None
    ) -> Report:
        session = await asyncio.to_thread(self.open)

        def begin() -> Resumed:
            return begin_items(session, self._account.name, items, terms)

        return await self._follow(session, begin, on_progress)

    async def _follow(
        self, session: Session, begin: Callable[[], Resumed], on_progress: Callable[[Moment], None] | None
    ) -> Report:
        work = asyncio.create_task(see_through(session, begin, on_progress))
        self._works.add(work)
        try:
            return await work  # a cancellation goes on to it, and comes back when the work has ended
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is None or current.cancelling():
                raise
            raise ClosedError from None
        finally:
            self._works.discard(work)

    async def _find_service(self, service: ServiceId) -> PricedService | None:
        """Find a service in a price list that is some minutes old at most, or was the last to be had."""
        prices = self._prices
        if prices is None or time.monotonic() - prices[0] > _PRICES_HOLD_S:
            return (await self.services()).find(service)
        return prices[1].find(service)


def _close_session(session: Session, process: int) -> None:
    if os.getpid() == process:
        session.close()
