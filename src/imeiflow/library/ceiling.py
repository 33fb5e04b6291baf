"""A maximum for the size of calls, for lanes that are worked in this process.

The lane still finds out by itself, with a canary, how many orders a call carries: a maximum is not the user's word
that so many work.
"""

from __future__ import annotations

from dataclasses import replace

from imeiflow.jobs.runner import LaneAccount
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.session import Session
from imeiflow.providers.contract import Connection, Login, Provider, Timeouts


class CappedSession(Session):
    """A session whose lanes send at most `cap` orders a call."""

    def __init__(self, session: Session, cap: int | None) -> None:
        super().__init__(session.configuration, session.ledger, session.clock)
        self._cap = cap

    def lane_account(self, account: AccountSettings) -> LaneAccount:
        """Make an account ready to be worked for. Raises ConfigurationError."""
        ready = super().lane_account(account)
        return ready if self._cap is None else replace(ready, provider=CappedProvider(ready.provider, self._cap))


class CappedProvider:
    """A provider that is said to take fewer orders a call than it does."""

    def __init__(self, provider: Provider, cap: int) -> None:
        self.name = provider.name
        self.max_chunk = min(provider.max_chunk, cap)
        self.lists_recent_orders = provider.lists_recent_orders
        self._provider = provider

    def connect(self, login: Login, *, max_concurrency: int, timeouts: Timeouts) -> Connection:
        """Open a connection of the provider's own."""
        return self._provider.connect(login, max_concurrency=max_concurrency, timeouts=timeouts)
