"""What pages and programs ask providers: credit and price lists. Asked once for all who want it, and kept for a while.

Where this server works for the account, the question waits its turn in the lane. A slow provider keeps no thread, and
whoever waits too long is told what was known before. For one event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar, cast

from imeiflow.dispatch.errand import LeftLaneError, Question
from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.item import OrderKind
from imeiflow.errors import ImeiflowError
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.catalogue import (
    Credit,
    PriceList,
    ask_directly,
    find_currency,
    read_credit,
    read_price_list,
    recall_prices,
)
from imeiflow.operations.embedded import EmbeddedRunner
from imeiflow.operations.price import find_stale_prices
from imeiflow.operations.session import Session
from imeiflow.providers.contract import Listing
from imeiflow.web.thread import in_thread

T = TypeVar("T")

KEPT_S: Final = 30.0
_PATIENCE_S: Final = 20.0
_BRIEF_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Known:
    told: Any
    asked_at: float  #: monotonic


class Enquiries:
    """The questions of one server. `clock` gives monotonic seconds; `patience_s`: how long a page waits.

    `brief_s`: how long it waits where only a question is to be drawn.
    """

    def __init__(
        self,
        session: Session,
        runner: EmbeddedRunner,
        *,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = _PATIENCE_S,
        brief_s: float = _BRIEF_S,
    ) -> None:
        self._session = session
        self._runner = runner
        self._clock = clock
        self._patience_s = patience_s
        self._brief_s = brief_s
        self._known: dict[tuple[AccountName, str], _Known] = {}
        self._asking: dict[tuple[AccountName, str], asyncio.Task[Any]] = {}

    async def credit(self, account: AccountSettings) -> Credit:
        """Give the credit as of `asked_at`, a moment ago at most, or the reason why it is not told."""
        told = await self._enquire((account.name, "credit"), lambda: self._fetch_credit(account))
        if told is not None:
            return told
        known = self._known.get((account.name, "credit"))
        return (
            Credit(account=account.name, balance=None, problem=_SLOW) if known is None else cast("Credit", known.told)
        )

    async def prices(
        self,
        account: AccountSettings,
        kind: OrderKind = OrderKind.IMEI,
        *,
        patience_s: float | None = None,
        kept_s: float = KEPT_S,
    ) -> PriceList:
        """Give the price list as of `kept_s` ago at most; without an answer the ledger's, with the problem."""
        key = (account.name, kind.value)
        told = await self._enquire(key, lambda: self._fetch_prices(account, kind), patience_s, kept_s)
        return told if told is not None else await in_thread(self._recall, account, kind, _SLOW)

    def currency(self, account: AccountSettings) -> str:
        """Give the currency of an account's money, as it is known without asking; empty where it is not. Blocks."""
        known = self._known.get((account.name, "credit"))
        balance = None if known is None else cast("Credit", known.told).balance
        return find_currency(self._session.ledger, account, balance)

    async def renew(self, job: JobId, *, is_brief: bool = False) -> PriceList | None:
        """Give the price list that a job is judged by, asked for anew; None where the ledger's is new enough.

        `is_brief`: somebody looks at a question meanwhile. Whoever has waited for too long is given the ledger's, with
        the problem, and the provider goes on being asked. Raises UnknownJobError, ConfigurationError.
        """
        stale = await in_thread(find_stale_prices, self._session, job)
        if stale is None:
            return None
        kept_s = min(KEPT_S, self._session.configuration.price_max_age_s)
        return await self.prices(*stale, patience_s=self._brief_s if is_brief else None, kept_s=kept_s)

    async def close(self) -> None:
        """Ask nothing more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _enquire(
        self,
        key: tuple[AccountName, str],
        ask: Callable[[], Awaitable[T]],
        patience_s: float | None = None,
        kept_s: float = KEPT_S,
    ) -> T | None:
        """Give what was told a moment ago, or ask; None where that takes too long, which ends nothing."""
        known = self._known.get(key)
        if known is not None and self._clock() - known.asked_at < kept_s:
            return cast("T", known.told)
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key, ask))
        done, _ = await asyncio.wait([task], timeout=self._patience_s if patience_s is None else patience_s)
        return cast("T", task.result()) if done else None

    async def _ask(self, key: tuple[AccountName, str], ask: Callable[[], Awaitable[T]]) -> T:
        try:
            told = await ask()
            self._known[key] = _Known(told, self._clock())
            return told
        finally:
            del self._asking[key]

    async def _fetch_credit(self, account: AccountSettings) -> Credit:
        now = self._session.clock.now()
        try:
            listing = await self._put(account, lambda connection: connection.fetch_credit())
        except ImeiflowError as error:
            return Credit(account=account.name, balance=None, problem=error.told, asked_at=now)
        return replace(read_credit(account, listing), asked_at=now)

    async def _fetch_prices(self, account: AccountSettings, kind: OrderKind) -> PriceList:
        ledger = self._session.ledger
        asked_at = ledger.clock()
        try:
            services = read_price_list(
                account, await self._put(account, lambda connection: connection.list_services(kind))
            )
        except ImeiflowError as error:
            return await in_thread(self._recall, account, kind, error.name_file(str(error.data.get("problem", error))))
        await in_thread(ledger.record_prices, account.name, services, kind, asked_at=asked_at)
        return PriceList(account=account.name, services=services, is_fresh=True, as_of=ledger.clock())

    async def _put(self, account: AccountSettings, question: Question[T]) -> Listing[T]:
        """Ask in the lane where it is worked on here; else directly, which nobody else here does meanwhile."""
        errands = self._runner.errands(account.name)
        if errands is not None:
            try:
                return await errands.ask(question)
            except LeftLaneError:  # the last job ended just now
                if self._runner.is_stopping:
                    raise
        return await ask_directly(self._session.configuration, account, question)

    def _recall(self, account: AccountSettings, kind: OrderKind, problem: str) -> PriceList:
        return recall_prices(self._session.ledger, account, kind, problem=problem)


_SLOW: Final = "the provider has not answered yet"
