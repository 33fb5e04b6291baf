"""The blocking client: the asynchronous one's calls, each waited for. Safe for several threads, not across a fork."""

from __future__ import annotations

import queue
import weakref
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from collections.abc import Set as AbstractSet
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from imeiflow.domain.ident import AccountName
from imeiflow.domain.item import OrderKind
from imeiflow.domain.order import OrderState
from imeiflow.ledger.record import Job, OrderRow
from imeiflow.library.client import AsyncClient
from imeiflow.library.item import Fields, ItemOptions, OneFile
from imeiflow.library.report import Moment, Report
from imeiflow.library.run import Run
from imeiflow.library.submission import Options
from imeiflow.operations.catalogue import Credit, PriceList
from imeiflow.providers.contract import OrderStatus

T = TypeVar("T")


class Client:
    """One account at one provider, and the ledger of what was ordered there. A context manager.

    `account` names a configured one; without it, and without a login (`base_url`, `username`, `key`), it is the one of
    the environment (`GSM_FUSION_…`), or the only one. `home` is the directory of ledger and `config.toml`, by default
    `IMEIFLOW_HOME`. Raises ConfigurationError, naming the setting that is missing or wrong.
    """

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
        self._client = AsyncClient(account, base_url=base_url, username=username, key=key, insecure=insecure, home=home)
        self._runs: weakref.WeakSet[Run[Any]] = weakref.WeakSet()

    @property
    def account(self) -> AccountName:
        """Give the account's name."""
        return self._client.account

    def __repr__(self) -> str:
        return repr(self._client).removeprefix("Async")

    def submit(
        self, imeis: str | int | Iterable[str | int | None], service: str | int, **options: Unpack[Options]
    ) -> Report:
        """Order a service for a list of IMEIs and wait for the job's end; the report is what the ledger says.

        The same list under the same service, begun before and not finished, is gone on with, under the terms it was
        begun with. What was ordered before is not ordered again (see `Options`). A job that cannot go on is paused, and
        the report says why. Ctrl-C lets the calls under way end and pauses the job; a second one leaves at once, and
        their orders become unconfirmed. Raises UsageError, WaitingElsewhereError, UnknownPriceError: nothing was begun;
        LedgerError: a job begun is paused.
        """
        return self._wait(lambda: self._client.submit(imeis, service, **options))

    def stream(
        self, imeis: str | int | Iterable[str | int | None], service: str | int, **options: Unpack[Options]
    ) -> Generator[Moment, None, Report]:
        """Order as `submit` does, yielding moments meanwhile, some a second; the report is the generator's value.

        To leave the loop, or to close the generator, pauses the job once the calls under way have ended.
        """
        moments: queue.SimpleQueue[Moment | None] = queue.SimpleQueue()
        run = self._start(
            lambda: self._client.submit(imeis, service, on_progress=moments.put, **options), lambda: moments.put(None)
        )
        try:
            while (moment := moments.get()) is not None:
                yield moment
            return run.result()
        except BaseException:
            run.interrupt()
            run.wait()
            raise

    def order_files(
        self, files: OneFile | Iterable[OneFile], service: str | int, **options: Unpack[ItemOptions]
    ) -> Report:
        """Order a file service once for each file, and wait for the job's end.

        A file is a path, or a pair of its name and its content; it is known again by its content. What was accepted
        before is left out, unless `reorder`. One whose reply was lost is unconfirmed, and never sent again by itself.
        Raises WaitingItemError for what waits in an unfinished job or may have been placed, UsageError, ProviderError,
        UnknownServiceError, UnknownPriceError: nothing was begun.
        """
        return self._wait(lambda: self._client.order_files(files, service, **options))

    def order_server(
        self, orders: Fields | Iterable[Fields], service: str | int, **options: Unpack[ItemOptions]
    ) -> Report:
        """Order a server service, once for each mapping of its fields (`email_951`, …), as `order_files` does."""
        return self._wait(lambda: self._client.order_server(orders, service, **options))

    def resume(self, job: int, *, accept_price: Decimal | None = None) -> Report:
        """Go on with a job that is paused, or follow one that runs, as `submit` does.

        `accept_price` is what one order may cost where the price has risen since it was confirmed.

        Raises UnknownJobError, JobStateError for a cancelled one, and PriceRoseError where the price has risen and
        that was not accepted: nothing has been sent then.
        """
        return self._wait(lambda: self._client.resume(job, accept_price=accept_price))

    def pause(self, job: int) -> None:
        """Ask for a job to be paused: whoever works on it lets calls under way end. Raises JobStateError."""
        self._wait(lambda: self._client.pause(job))

    def cancel(self, job: int) -> None:
        """Give up what a job has not sent yet; what was accepted stays. Raises JobStateError."""
        self._wait(lambda: self._client.cancel(job))

    def report(self, job: int) -> Report:
        """Say how a job stands. Raises UnknownJobError."""
        return self._wait(lambda: self._client.report(job))

    def jobs(self) -> list[Job]:
        """List the account's jobs, newest first."""
        return self._wait(self._client.jobs)

    def rows(self, job: int, states: AbstractSet[OrderState] | None = None) -> Iterator[OrderRow]:
        """Stream a job's rows in the order of its list, or those in some states, with what became of each."""
        return self._client.read_rows(job, states)

    def services(self, kind: OrderKind | str = OrderKind.IMEI) -> PriceList:
        """Fetch the price list of a kind (`imei`, `file`, `server`); without an answer it is the ledger's.

        Then `is_fresh` is false, and `problem` says why. Raises UsageError for another kind.
        """
        return self._wait(lambda: self._client.services(kind))

    def credit(self) -> Credit:
        """Fetch the balance; None in it, with the `problem`, where the provider does not tell."""
        return self._wait(self._client.credit)

    def statuses(self, references: Iterable[str | int], *, timeout_s: float | None = None) -> list[OrderStatus]:
        """Fetch what the provider says of orders, by its references, and keep it; unknown ones are left out.

        `timeout_s` is the silence that is borne in each call. Raises ProviderError where it is not answered.
        """
        return self._wait(lambda: self._client.statuses(references, timeout_s=timeout_s))

    def close(self) -> None:
        """Pause the jobs that this client works on, as Ctrl-C does, and close the ledger. Harmless twice."""
        runs = list(self._runs)
        for run in runs:
            run.interrupt()
        for run in runs:
            run.wait()
        self._client.close_ledger()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, work: Callable[[], Coroutine[Any, Any, T]], on_end: Callable[[], None] = lambda: None) -> Run[T]:
        run = Run(work, on_end)
        self._runs.add(run)
        return run

    def _wait(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._start(work).result()
