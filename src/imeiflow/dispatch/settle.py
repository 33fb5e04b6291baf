"""Settling doubt: the provider's own list first, then what is known of repeats, then a repeat probe.

Nothing in doubt is ever repeated blindly: an order goes out again, alone, only where `domain.doubt.cover` says that
a repeat would be refused, in the moment in which it leaves.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TYPE_CHECKING, Any

from imeiflow.dispatch.alone import Alone, Asked
from imeiflow.dispatch.candidate import fetch_statuses
from imeiflow.dispatch.conclude import Ended, Repeat
from imeiflow.dispatch.listed import settle_by_list
from imeiflow.dispatch.probe import RepeatProbe
from imeiflow.dispatch.treatment import Treatment
from imeiflow.dispatch.work import Work
from imeiflow.domain.ident import OrderId
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Outcome
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.record import Doubt, PlacedOrder

if TYPE_CHECKING:
    from imeiflow.dispatch.engine import Engine

_PAGE = 1000
_MAX_ROUNDS = 4
_MAX_TRIES = 20
_LOOK_S = 0.25
_AT_ONCE = 50  #: older orders whose statuses are asked for in one call
_OPEN = frozenset({ResultStatus.PENDING, ResultStatus.IN_PROCESS})
#: What says nothing of the order, and is only a matter of trying again.
_UNHEARD = frozenset({Outcome.THROTTLED, Outcome.UNSENT})


class Settlement:
    """Settles one job's unconfirmed orders as far as can be known; `reason` says why the rest is held.

    `treatment` is what is known of the service's repeats, shared with the jobs that settle beside this one.
    """

    def __init__(self, engine: Engine, work: Work, treatment: Treatment) -> None:
        self.reason: str | None = None
        self.alone = Alone(engine, work, treatment)
        self._engine = engine
        self._work = work
        self._account, self._service = work.job.account, work.job.service
        self._treatment = treatment
        self._ambiguous: AbstractSet[OrderId] = frozenset()  #: may be any of several orders in the provider's list
        self._probe = RepeatProbe(engine, work, treatment, self.alone)

    async def run(self) -> None:
        """Settle what can be settled. Returns when the rest has to be held."""
        async with self._treatment.turn:
            evidence = await asyncio.to_thread(self._engine.ledger.repeat_evidence, self._account, self._service)
            self._treatment.take(evidence)
            self._ambiguous = await settle_by_list(self._engine, self._work, lambda: self._is_stopped)
        self.reason = await self._settle_by_repeats()
        if self._ambiguous and not self._is_stopped:
            several = f"{len(self._ambiguous)} may be any of several orders in the provider's list"
            self.reason = f"{self.reason}; {several}" if self.reason else several

    async def _settle_by_repeats(self) -> str | None:
        """Send again what is covered, and learn what more is; say why the rest is held."""
        rounds = 0  #: without a doubt settled
        while rounds < _MAX_ROUNDS:
            seen, settled = await self._send_covered()
            if self._is_stopped or not seen:
                return self._probe.reason
            rounds = 0 if settled else rounds + 1
            if not settled and not await self._probe.learn():
                return self._probe.reason
        return self._probe.reason or "no order as old as the unconfirmed ones is known to be refused when repeated"

    @property
    def _is_stopped(self) -> bool:
        return self._work.stop is not None or self._engine.is_stopping

    async def _send_covered(self) -> tuple[int, int]:
        """Send every covered doubt again, alone; count the doubts, and those of them that were settled by it."""
        seen, settled, after = 0, 0, OrderId(0)
        self._probe.span = None
        while not self._is_stopped:
            doubts = await asyncio.to_thread(self._engine.ledger.doubts, self._work.job.id, after=after, limit=_PAGE)
            if not doubts:
                break
            after = doubts[-1].order
            doubts = [doubt for doubt in doubts if doubt.order not in self._ambiguous]
            if not doubts:
                continue
            seen += len(doubts)
            began = [doubt.began_at for doubt in doubts]
            known_span = self._probe.span or ()
            self._probe.span = min([*began, *known_span]), max([*began, *known_span])
            known = await self._find_older_orders(doubts)
            settled += await self._send_page(deque(sorted(doubts, key=lambda doubt: doubt.began_at)), known)
        return seen, settled

    async def _send_page(self, doubts: deque[Doubt], known: AbstractSet[str]) -> int:
        """Send the covered ones of `doubts`, the oldest first.

        What covers a doubt is looked at here and once more just before it leaves, for its age grows while others are
        under way. Where many wait, the order that was refused is repeated beside them, so that the evidence ages too.
        """
        settled, tries = 0, Counter[OrderId]()
        outgrown: list[Doubt] = []
        pending: dict[asyncio.Future[Ended | None], Doubt] = {}
        renewal: asyncio.Task[bool] | None = None
        has_renewed = False
        try:
            while not self._is_stopped:
                outgrown += self._send_some(doubts, known, pending)
                is_fruitless = has_renewed and not pending  # what is left is older than the refused order itself
                if renewal is None and (doubts or outgrown) and not is_fruitless and self._probe.may_renew:
                    renewal = asyncio.create_task(self._probe.renew())
                waiting: list[asyncio.Future[Any]] = [*pending, *([renewal] if renewal else [])]
                if not waiting:
                    break
                done, _ = await asyncio.wait(waiting, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
                if renewal in done and renewal is not None:
                    has_renewed = renewal.result() or has_renewed
                    renewal = None
                    doubts.extendleft(reversed(outgrown))
                    outgrown.clear()
                for future in done & pending.keys():
                    doubt = pending.pop(future)
                    tries[doubt.order] += 1
                    is_settled, is_unheard = _read_end(doubt, future)
                    settled += is_settled
                    if is_unheard and tries[doubt.order] < _MAX_TRIES:
                        doubts.append(doubt)
        finally:
            if renewal is not None:
                renewal.cancel()
                await asyncio.gather(renewal, return_exceptions=True)
            for doubt in pending.values():
                self.alone.forget(doubt.order)
        return settled

    def _send_some(
        self, doubts: deque[Doubt], known: AbstractSet[str], pending: dict[asyncio.Future[Ended | None], Doubt]
    ) -> list[Doubt]:
        """Send as many as may be under way, into `pending`; give those that nothing covers now."""
        outgrown: list[Doubt] = []
        while doubts and len(pending) < self._engine.desk.lane.view().concurrency:
            doubt = doubts.popleft()
            if self._treatment.covers(doubt.began_at):
                pending[self._send_again(doubt, known)] = doubt
            else:
                outgrown.append(doubt)
        return outgrown

    def _send_again(self, doubt: Doubt, known: AbstractSet[str]) -> asyncio.Future[Ended | None]:
        repeat = Repeat(was_ordered=doubt.imei in known)
        return self.alone.send(Asked(AttemptKind.AGAIN, doubt, self._work.job.id, repeat))

    async def _find_older_orders(self, doubts: Sequence[Doubt]) -> AbstractSet[str]:
        """Find the IMEIs whose older orders explain a duplicate: placed, and still what a repeat is refused for.

        Where an open order's repeat is refused, that of a completed one may be taken: the duplicate is the doubt itself
        then. So an older order counts while the provider says that it is open.
        """
        find = partial(self._engine.ledger.find_ordered_before, exclude_job=self._work.job.id)
        past = await asyncio.to_thread(find, self._account, self._service, [doubt.imei for doubt in doubts])
        explained: set[str] = set()
        unsure = [
            PlacedOrder(one.order, imei, one.reference, one.at, one.at, one.status, None, one.job)
            for imei, one in past.items()
            if one.state is OrderState.ACCEPTED
        ]
        for start in range(0, len(unsure), _AT_ONCE):
            page = unsure[start : start + _AT_ONCE]
            statuses = await fetch_statuses(self._engine, page, lambda: self._is_stopped)
            explained |= {one.imei for one in page if statuses.get(one.order) in _OPEN}
        return explained


def _read_end(doubt: Doubt, future: asyncio.Future[Ended | None]) -> tuple[bool, bool]:
    """Say whether a doubt that was to be sent again is settled, and whether nothing was heard of it."""
    if future.cancelled():
        return True, False  # by somebody else
    ended = future.result()
    if ended is None:
        return False, True
    is_settled = ended.states[doubt.order] is not OrderState.UNCONFIRMED
    return is_settled, ended.placement.account.findings[doubt.imei].outcome in _UNHEARD
