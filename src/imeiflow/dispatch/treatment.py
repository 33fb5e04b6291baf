"""What is known of how a service treats repeats, shared by all jobs of a lane that settle doubts under it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

from imeiflow.dispatch.clock import Clock
from imeiflow.domain.doubt import Coverage, RepeatEvidence, cover, keep_lasting


class Treatment:
    """The evidence about one service of one account, and whose turn it is to gather more."""

    def __init__(self, clock: Clock, lasts: timedelta) -> None:
        self.turn = asyncio.Lock()  #: who repeats an order, or reads the provider's list: one job at a time
        self.is_completing = False  #: orders as young as the doubts are known to be completed
        self.probes = 0  #: repeat probes that were answered; who waited for its turn need not make another
        self._clock = clock
        self._lasts = lasts  #: how long a refusal that was seen is evidence
        self._seen: list[RepeatEvidence] = []

    def take(self, evidence: Iterable[RepeatEvidence]) -> None:
        """Begin anew with what the ledger holds, oldest first, as far as it lasts."""
        self._seen = []
        self.learn(keep_lasting(evidence))

    def learn(self, evidence: Iterable[RepeatEvidence]) -> None:
        """Keep what repeats showed; a refusal that reaches no further than one that is known adds nothing."""
        for seen in evidence:
            if self._is_news(seen):
                self._seen.append(seen)

    def covers(self, doubt_at: datetime) -> bool:
        """Say whether an order may be sent again whose doubtful attempt began at `doubt_at`."""
        clock = self._clock
        covered = cover(
            doubt_at,
            clock.now(),
            self._seen,
            unsure_before=clock.unsure_before,
            lasts=self._lasts,
            is_completing=self.is_completing,
        )
        return covered is Coverage.COVERED

    @property
    def is_charged(self) -> bool:
        """Say whether a repeat was ever charged."""
        return any(not seen.is_refusal for seen in self._seen)

    @property
    def known_age(self) -> timedelta | None:
        """Give the age of the oldest order whose repeat is known to be refused."""
        return max((seen.age for seen in self._seen if seen.is_refusal and self._counts(seen)), default=None)

    def _counts(self, seen: RepeatEvidence) -> bool:
        is_fresh = self._clock.now() - seen.observed_at <= self._lasts
        return is_fresh and (seen.of_completed or not self.is_completing)

    def _is_news(self, seen: RepeatEvidence) -> bool:
        if not seen.is_refusal or self.is_charged:
            return True
        return self._counts(seen) and not any(
            known.is_refusal and known.reach >= seen.reach and known.of_completed >= seen.of_completed
            for known in self._seen
        )
