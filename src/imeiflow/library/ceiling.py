"""A maximum for the size of calls, for lanes that are worked in this process.

The lane still finds out by itself, with a canary, how many orders a call carries: a maximum is not the user's word
that so many work.
"""

from __future__ import annotations

from dataclasses import replace

from imeiflow.jobs.runner import LaneAccount
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.session import Session


class CappedSession(Session):
    """A session whose lanes send at most `cap` orders a call; None for what the provider takes."""

    def __init__(self, session: Session, cap: int | None) -> None:
        super().__init__(session.configuration, session.ledger, session.clock)
        self._cap = cap

    def lane_account(self, account: AccountSettings) -> LaneAccount:
        """Make an account ready to be worked for. Raises ConfigurationError."""
        ready = super().lane_account(account)
        return replace(ready, settings=replace(ready.settings, largest_chunk=self._cap))
