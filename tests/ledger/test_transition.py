"""Any sequence of what engines, crashes and people do leaves only lawful changes, and no order is paid for unseen."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from imeiflow.domain.order import TRANSITIONS, OrderState
from imeiflow.domain.outcome import Outcome
from imeiflow.errors import FencedError, GuardError
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder
from tests.ledger.conftest import ACCOUNT, SERVICE, Clock, Desk, make_imei
from tests.mould import record

S = OrderState
COUNT = 4
POSITIONS = st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=COUNT, unique=True)
ENDS = st.sampled_from([S.ACCEPTED, S.DUPLICATE, S.REFUSED, S.UNCONFIRMED, S.QUEUED, S.FAILED])
#: A late proof passes through `sending`, so two lawful steps may be seen as one.
TWO_STEPS = {(a, d) for a, b in TRANSITIONS for c, d in TRANSITIONS if b == c == S.SENDING}


class LedgerMachine(RuleBasedStateMachine):
    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        clock = Clock()
        ledger = Ledger.open(self.folder / "ledger.db", clock=clock)
        job = ledger.create_draft(
            JobDraft(account=ACCOUNT, provider="p", service=SERVICE, unit_price=Decimal(1), currency="USD")
        )
        ledger.add_orders(job, [NewOrder(line=n + 1, imei=make_imei(n)) for n in range(COUNT)])
        ledger.start_job(job)
        token, _ = ledger.take_lane(ACCOUNT, "w")
        self.desk = Desk(ledger, clock, job, token, ledger.queued_orders(job))
        self.seen = dict.fromkeys(range(COUNT), S.QUEUED)
        self.open_attempts: list[tuple[int, list[int]]] = []
        self.placed: dict[int, int] = dict.fromkeys(range(COUNT), 0)

    @rule(positions=POSITIONS, again=st.booleans(), stale=st.booleans())
    def send(self, positions: list[int], again: bool, stale: bool) -> None:
        expected = S.UNCONFIRMED if again else S.QUEUED
        kind = AttemptKind.AGAIN if again else AttemptKind.PLACE
        token = self.desk.token - 1 if stale else self.desk.token
        intent = self.desk.intent(*positions, expected=expected, kind=kind, token=token)
        fits = all(self.seen[n] is expected for n in positions)
        try:
            attempt = self.loop.run_until_complete(record(self.desk.ledger, intent))
        except FencedError:
            assert stale
            return
        except GuardError:
            assert not fits
            return
        assert fits
        assert not stale
        self.open_attempts.append((attempt, positions))

    @rule(data=st.data())
    def conclude(self, data: st.DataObject) -> None:
        if not self.open_attempts:
            return
        index = data.draw(st.integers(0, len(self.open_attempts) - 1))
        attempt, positions = self.open_attempts.pop(index)
        states = [data.draw(ENDS) for _ in positions]
        changes = [
            self.desk.change(n, state, **({"reference": f"R{attempt}-{n}"} if state is S.ACCEPTED else {}))
            for n, state in zip(positions, states, strict=True)
        ]
        self.desk.clock.move(seconds=1)
        self.loop.run_until_complete(self.desk.end(attempt, *changes))
        for n, state in zip(positions, states, strict=True):
            self.placed[n] += state is S.ACCEPTED

    @rule()
    def crash(self) -> None:
        self.desk.clock.move(minutes=1)
        self.desk.token, _ = self.desk.ledger.take_lane(ACCOUNT, "w")

    @rule(positions=POSITIONS)
    def mark_not_placed(self, positions: list[int]) -> None:
        fits = all(self.seen[n] is S.UNCONFIRMED for n in positions)
        try:
            self.desk.ledger.mark_not_placed(self.desk.ids(*positions), note="n")
        except GuardError:
            assert not fits
        else:
            assert fits

    @rule()
    def retry(self) -> None:
        self.desk.ledger.retry(self.desk.job, {S.FAILED, S.REFUSED})

    @rule()
    def cancel(self) -> None:
        self.desk.ledger.cancel_queued(self.desk.job)

    @invariant()
    def every_change_is_lawful_and_every_charge_is_counted(self) -> None:
        rows = list(self.desk.ledger.order_rows(self.desk.job))
        for n, row in enumerate(rows):
            before, after = self.seen[n], row.state
            lawful = before == after or (before, after) in TRANSITIONS or (before, after) in TWO_STEPS
            assert lawful, (before, after)
            self.seen[n] = after
            assert row.charges == self.placed[n]
            told = self.desk.ledger.attempts_of(row.id)
            assert sum(one.outcome is Outcome.ACCEPTED for one in told) == self.placed[n]
        assert self.desk.ledger.tally(self.desk.job).total == COUNT

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.desk.ledger.close()
            self.loop.close()
            shutil.rmtree(self.folder)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=15, stateful_step_count=20, deadline=timedelta(seconds=30), suppress_health_check=list(HealthCheck)
)
