"""Searches for limits that a server runs in the background: one an account, to be watched, ended, and pinned.

Only by calls that read: what costs money is begun where its price is confirmed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from imeiflow.dispatch.ladder import Ladder, Recommendation
from imeiflow.dispatch.step import Measured
from imeiflow.domain.ident import AccountName
from imeiflow.errors import ImeiflowError, LaneBusyError, UsageError
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.limit_search import Found, LimitSearch
from imeiflow.operations.session import Session

log = structlog.get_logger(__name__)

_BUSY: Final = (
    "{account} is worked for just now: a job of it runs, or results are asked for. A search has the account to itself. "
    "Pause the job, or search again when that has ended."
)


@dataclass(slots=True, kw_only=True)
class Watched:
    """One search, as far as it is. `problem` says why it broke off."""

    account: AccountName
    began_by: str
    began_at: datetime
    steps: list[Measured] = field(default_factory=list)
    found: Found | None = None
    problem: str = ""

    @property
    def is_over(self) -> bool:
        """Say whether nothing more is measured."""
        return self.found is not None or bool(self.problem)

    @property
    def recommendation(self) -> Recommendation | None:
        """Give what was recommended, if anything."""
        return None if self.found is None else self.found.recommendation


class LimitDesk:
    """The searches of one server. `on_change` hears of each step. For one event loop."""

    def __init__(self, session: Session, on_change: Callable[[], None]) -> None:
        self._session = session
        self._on_change = on_change
        self._watched: dict[AccountName, Watched] = {}
        self._running: dict[AccountName, tuple[LimitSearch, asyncio.Task[None]]] = {}
        self._is_stopping = False

    def find(self, account: AccountName) -> Watched | None:
        """Give the last search of an account since the server started."""
        return self._watched.get(account)

    def begin(self, account: AccountSettings, *, actor: str) -> None:
        """Begin a search. Raises UsageError where one is under way, or the server stops."""
        if self._is_stopping:
            raise UsageError(problem="the server is stopping", remedy="Search when it has been started again.")
        if account.name in self._running:
            raise UsageError(problem=f"the limits of {account.name} are being searched", remedy="Wait for its end.")
        watched = Watched(account=account.name, began_by=actor, began_at=self._session.clock.now())

        def note(step: Measured) -> None:
            watched.steps.append(step)
            self._on_change()

        rate = account.rate_per_min
        ladder = Ladder(ceiling=account.max_concurrency, per_s=None if rate is None else rate / 60)
        search = LimitSearch(self._session, account, ladder, on_step=note)
        self._watched[account.name] = watched
        self._running[account.name] = (search, asyncio.create_task(self._run(search, watched)))

    def end(self, account: AccountName) -> None:
        """Let no more calls of a search begin; what was found until then is shown."""
        if account in self._running:
            self._running[account][0].interrupt()

    def stop(self) -> None:
        """End all searches, and begin none any more: their calls only read, and are given up."""
        self._is_stopping = True
        for search, _ in self._running.values():
            search.interrupt()

    async def close(self) -> None:
        """End all searches, and wait for their ends."""
        self.stop()
        await asyncio.gather(*(task for _, task in self._running.values()), return_exceptions=True)

    async def _run(self, search: LimitSearch, watched: Watched) -> None:
        try:
            watched.found = await search.by_reading()
        except LaneBusyError:
            watched.problem = _BUSY.format(account=watched.account)
        except ImeiflowError as error:
            watched.problem = f"{error.told} {error.told_remedy}".strip()
        except Exception as error:
            log.error("search_broke", account=watched.account, exc_info=error)
            watched.problem = "an error of ours: it is in the log of the server"
        finally:
            self._running.pop(watched.account, None)
            self._on_change()
