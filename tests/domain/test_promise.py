"""The promise itself: no IMEI is lost, none is paid for twice, what cannot be known is said to be unknown.

A small ledger is driven through the pure decisions against a model of a provider, by random sequences of replies,
losses, crashes, time and user actions. What the provider holds is the truth; the ledger sees only what a real one
would see.

Time moves in half hours, far coarser than the slack that `cover` grants to two orders of about the same age.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from imeiflow.domain.decision import RetryPolicy, decide, decide_again, reason_to_pause
from imeiflow.domain.doubt import Coverage, RepeatEvidence, cover
from imeiflow.domain.ident import Reference
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import SETTLED, OrderState, may_follow
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.progress import Tally
from imeiflow.domain.reply import Account, ReplyContent, WholeError, account_for, account_for_failure

from .panel import Fate, Held, Panel, RepeatRule
from .sample import make_imeis

S = OrderState
IMEIS = make_imeis(12)
START = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=30)
OPEN_FOR = [STEP * 0.5, STEP * 1.5, STEP * 2.5]
POLICY = RetryPolicy(max_attempts=2)


class Purpose(StrEnum):
    """Why a call is made."""

    PLACE = "place"
    SETTLE = "settle"  #: sends one covered doubt again
    PROBE = "probe"  #: repeats one accepted order to see what comes of it


@dataclass(slots=True)
class Row:
    """What the ledger knows of one order."""

    state: OrderState = S.QUEUED
    attempts: int = 0
    reference: Reference | None = None
    first_doubt_at: datetime | None = None  #: the oldest attempt that may have placed it
    last_attempt_at: datetime = START


@dataclass(slots=True)
class Call:
    """One call under way: the ledger has its attempt, and sees what came back only when the call ends."""

    purpose: Purpose
    imeis: tuple[Imei, ...]
    started_at: datetime
    ending: Ending
    content: ReplyContent | WholeError


@dataclass(slots=True)
class Ledger:
    """The rows of one job and what was learned of repeats; every change is guarded."""

    rows: dict[Imei, Row] = field(default_factory=lambda: {imei: Row() for imei in IMEIS})
    evidence: list[RepeatEvidence] = field(default_factory=list)
    is_running: bool = True
    may_probe: bool = True

    def list_in(self, *states: OrderState) -> list[Imei]:
        return [imei for imei, row in self.rows.items() if row.state in states]

    def move(self, imei: Imei, after: OrderState) -> None:
        row = self.rows[imei]
        assert may_follow(row.state, after), f"{row.state} to {after}"
        row.state = after

    def doubt(self, imei: Imei, since: datetime) -> None:
        row = self.rows[imei]
        row.first_doubt_at = row.first_doubt_at or since
        self.move(imei, S.UNCONFIRMED)

    def ask_cover(self, imei: Imei, now: datetime) -> Coverage:
        since = self.rows[imei].first_doubt_at
        assert since is not None
        return cover(since, now, self.evidence)


GOOD_CALL: dict[str, Any] = {"fate": Fate.COMPLETE, "first": 0, "kind": ErrorKind.UNKNOWN}
calls_to_make = st.fixed_dictionaries(
    {"fate": st.sampled_from(Fate), "first": st.integers(0, 3), "kind": st.sampled_from(ErrorKind)}
)
single_calls = st.one_of(st.just(GOOD_CALL), calls_to_make)
imeis = st.sampled_from(IMEIS)


class Promise(RuleBasedStateMachine):
    """One job of twelve IMEIs, from the first call to wherever chance leads it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.ledger = Ledger()
        self.calls: list[Call] = []
        self.panel = Panel(RepeatRule.REFUSED, STEP)
        self.probed: set[Imei] = set()

    @initialize(
        repeats=st.sampled_from(RepeatRule),
        open_for=st.sampled_from(OPEN_FOR),
        bad=st.sets(imeis, max_size=3),
        ordered_before=st.lists(st.tuples(imeis, st.integers(1, 4)), max_size=3),
        first_calls=st.lists(single_calls, max_size=3),
    )
    def meet_provider(self, repeats, open_for, bad, ordered_before, first_calls):
        self.panel = Panel(repeats, open_for, bad)
        for imei, steps in ordered_before:
            self.panel.add(imei, START - steps * STEP, is_ours=False)
        for how in first_calls:
            self._call(Purpose.PLACE, tuple(self.ledger.list_in(S.QUEUED)[:2]), how, ends=True)
            self.ledger.is_running = True

    # What the engine does.

    @precondition(lambda self: self.ledger.is_running and self.ledger.list_in(S.QUEUED))
    @rule(count=st.integers(1, 4), how=calls_to_make, ends=st.booleans())
    def send_a_chunk(self, count, how, ends):
        chunk = tuple(self.ledger.list_in(S.QUEUED)[:count])
        self._call(Purpose.PLACE, chunk, how, ends=ends)

    @precondition(lambda self: self.ledger.is_running and self._covered())
    @rule(how=single_calls, ends=st.booleans())
    def send_a_covered_doubt_again(self, how, ends):
        self._call(Purpose.SETTLE, (self._covered()[0],), how, ends=ends)

    @precondition(lambda self: self.ledger.is_running and self._wants_probe())
    @rule(how=single_calls, ends=st.booleans())
    def probe_the_oldest_accepted_order(self, how, ends):
        accepted = self.ledger.list_in(S.ACCEPTED)
        imei = min(accepted, key=lambda one: self.ledger.rows[one].last_attempt_at)
        self.ledger.may_probe = False
        self.probed.add(imei)
        self._call(Purpose.PROBE, (imei,), how, ends=ends)

    @precondition(lambda self: self.calls)
    @rule()
    def a_call_ends(self):
        self._conclude(self.calls.pop(0))

    # What the world does.

    @precondition(lambda self: self.calls)
    @rule()
    def crash(self):
        for call in self.calls:
            if call.purpose is not Purpose.PROBE:
                for imei in call.imeis:
                    self.ledger.doubt(imei, call.started_at)
        self.calls.clear()

    @precondition(lambda self: not self.calls)
    @rule(steps=st.integers(1, 2))
    def time_passes(self, steps):
        self.now += steps * STEP

    @rule(imei=imeis)
    def the_provider_changes_its_mind(self, imei):
        self.panel.bad ^= {imei}

    # What the user does.

    @precondition(lambda self: self.ledger.is_running and self.calls)
    @rule()
    def pause(self):
        self.ledger.is_running = False

    @precondition(lambda self: not self.ledger.is_running)
    @rule()
    def resume(self):
        self.ledger.is_running = True

    @precondition(lambda self: self.ledger.list_in(S.QUEUED))
    @rule()
    def cancel_a_queued_order(self):
        self.ledger.move(self.ledger.list_in(S.QUEUED)[-1], S.CANCELLED)

    @precondition(lambda self: self.ledger.list_in(S.UNCONFIRMED))
    @rule()
    def settle_one_doubt_as_the_provider_s_page_shows_it(self):
        self._settle_by_user(self.ledger.list_in(S.UNCONFIRMED)[0])

    @precondition(lambda self: self.ledger.list_in(S.FAILED, S.REFUSED))
    @rule()
    def retry(self):
        for imei in self.ledger.list_in(S.FAILED, S.REFUSED):
            self.ledger.move(imei, S.QUEUED)
            self.ledger.rows[imei].attempts = 0

    # What must be true at every moment.

    @invariant()
    def no_imei_is_lost(self):
        tally = Tally({state: len(self.ledger.list_in(state)) for state in OrderState})
        assert tally.total == tally.to_place == len(IMEIS)
        under_way = [imei for call in self.calls if call.purpose is not Purpose.PROBE for imei in call.imeis]
        assert sorted(under_way) == sorted(self.ledger.list_in(S.SENDING))

    @invariant()
    def none_is_paid_for_twice_but_for_one_probe(self):
        twice = {imei for imei in IMEIS if len(self.panel.ours(imei)) > 1}
        assert twice <= self.probed
        assert sum(len(self.panel.ours(imei)) - 1 for imei in twice) <= 1

    @invariant()
    def what_is_called_accepted_exists(self):
        for imei in self.ledger.list_in(S.ACCEPTED):
            assert self.ledger.rows[imei].reference in {held.reference for held in self.panel.ours(imei)}

    @invariant()
    def what_is_called_duplicate_was_ordered_before(self):
        for imei in self.ledger.list_in(S.DUPLICATE):
            assert any(held.imei == imei for held in self.panel.orders)
            if self.ledger.rows[imei].first_doubt_at is None:
                assert not self.panel.ours(imei), "nothing was charged for it"

    @invariant()
    def what_is_called_not_placed_was_not_charged(self):
        for imei in self.ledger.list_in(S.QUEUED, S.REFUSED, S.FAILED, S.CANCELLED):
            assert not self.panel.ours(imei)

    @invariant()
    def every_doubt_has_the_time_that_it_began(self):
        for imei in self.ledger.list_in(S.UNCONFIRMED):
            assert self.ledger.rows[imei].first_doubt_at is not None

    def teardown(self) -> None:
        """Let the job end well from wherever it is: nothing may be stuck."""
        while self.calls:
            self.a_call_ends()
        while self.ledger.list_in(S.QUEUED, S.UNCONFIRMED):
            for imei in self.ledger.list_in(S.UNCONFIRMED):
                self._settle_by_user(imei)
            for imei in self.ledger.list_in(S.QUEUED):
                self._call(Purpose.PLACE, (imei,), GOOD_CALL, ends=True)
        assert set(self.ledger.list_in(*SETTLED)) == set(IMEIS)
        self.no_imei_is_lost()
        self.none_is_paid_for_twice_but_for_one_probe()
        self.what_is_called_accepted_exists()
        self.what_is_called_duplicate_was_ordered_before()
        self.what_is_called_not_placed_was_not_charged()

    def _call(self, purpose: Purpose, chunk: tuple[Imei, ...], how: dict[str, Any], *, ends: bool) -> None:
        """Record the attempt, let it reach the provider (or not), and take its answer at once if it `ends`."""
        if purpose is not Purpose.PROBE:
            for imei in chunk:
                self.ledger.move(imei, S.SENDING)
                self.ledger.rows[imei].last_attempt_at = self.now
        ending, content = self.panel.answer(chunk, self.now, **how)
        call = Call(purpose, chunk, self.now, ending, content)
        if ends:
            self._conclude(call)
        else:
            self.calls.append(call)

    def _conclude(self, call: Call) -> None:
        if isinstance(call.content, ReplyContent):
            account = account_for(call.imeis, call.content)
        else:
            account = account_for_failure(call.imeis, call.ending, call.content)
        if call.purpose is Purpose.PROBE:
            self._learn_from_probe(call, account)
        else:
            self._settle_rows(call, account)
        if reason_to_pause(account):
            self.ledger.is_running = False

    def _covered(self) -> list[Imei]:
        doubts = self.ledger.list_in(S.UNCONFIRMED)
        return [imei for imei in doubts if self.ledger.ask_cover(imei, self.now) is Coverage.COVERED]

    def _wants_probe(self) -> bool:
        doubts = self.ledger.list_in(S.UNCONFIRMED)
        is_open = any(self.ledger.ask_cover(imei, self.now) is Coverage.UNKNOWN for imei in doubts)
        return is_open and self.ledger.may_probe and bool(self.ledger.list_in(S.ACCEPTED))

    def _settle_rows(self, call: Call, account: Account) -> None:
        for imei, finding in account.findings.items():
            row = self.ledger.rows[imei]
            if call.purpose is Purpose.SETTLE:
                decision = decide_again(finding)
            else:
                decision = decide(finding, attempt=row.attempts + 1, policy=POLICY)
            row.attempts += decision.spends_attempt
            if decision.state is S.UNCONFIRMED:
                self.ledger.doubt(imei, call.started_at)
            else:
                self.ledger.move(imei, decision.state)
                row.reference = finding.reference

    def _learn_from_probe(self, call: Call, account: Account) -> None:
        """Keep what the probe showed. One that may have been charged is the last."""
        imei = call.imeis[0]
        outcome = account.findings[imei].outcome
        placed_at = self.ledger.rows[imei].last_attempt_at
        if outcome is Outcome.DUPLICATE:
            held = self._find(imei)
            of_completed = held is not None and self.panel.is_completed(held, self.now)
            self.ledger.evidence.append(RepeatEvidence(self.now, self.now - placed_at, True, of_completed))
        elif outcome is Outcome.ACCEPTED:
            self.ledger.evidence.append(RepeatEvidence(self.now, self.now - placed_at, is_refusal=False))
        self.ledger.may_probe = outcome in {Outcome.DUPLICATE, Outcome.THROTTLED, Outcome.UNSENT}

    def _settle_by_user(self, imei: Imei) -> None:
        row = self.ledger.rows[imei]
        held = self._find(imei)
        row.first_doubt_at = None
        self.ledger.move(imei, S.ACCEPTED if held else S.QUEUED)
        row.reference = Reference(held.reference) if held else None

    def _find(self, imei: Imei) -> Held | None:
        """Look an order up as the provider's page would show it."""
        return next(iter(self.panel.ours(imei)), None)


TestPromise = Promise.TestCase
TestPromise.settings = settings(max_examples=150, stateful_step_count=40)


def _draw_call(random: Random) -> dict[str, Any]:
    fate = random.choice(list(Fate)) if random.random() < 0.6 else Fate.COMPLETE
    return {"fate": fate, "first": random.randint(0, 3), "kind": random.choice(list(ErrorKind))}


#: How a long walk draws the arguments of a rule, by their names.
DRAW: dict[str, Callable[[Random], Any]] = {
    "count": lambda random: random.randint(1, 4),
    "ends": lambda random: random.random() < 0.7,
    "how": _draw_call,
    "imei": lambda random: random.choice(IMEIS),
    "steps": lambda random: random.randint(1, 2),
    "repeats": lambda random: random.choice(list(RepeatRule)),
    "open_for": lambda random: random.choice(OPEN_FOR),
    "bad": lambda random: set(random.sample(IMEIS, random.randint(0, 2))),
    "ordered_before": lambda random: [(random.choice(IMEIS), random.randint(1, 4))] * random.randint(0, 1),
    "first_calls": lambda random: [_draw_call(random) for _ in range(random.randint(0, 2))],
}


PROVIDER = ("repeats", "open_for", "bad", "ordered_before", "first_calls")


def _walk(random: Random, steps: int) -> Counter[str]:
    """Take one job through `steps` random rules, checking every invariant after each; count what was done."""
    done: Counter[str] = Counter()
    job = Promise()
    job.meet_provider(**{name: DRAW[name](random) for name in PROVIDER})
    for _ in range(steps):
        enabled = [one for one in job.rules if all(holds(job) for holds in one.preconditions)]
        chosen = random.choice(enabled)
        chosen.function(job, **{name: DRAW[name](random) for name in chosen.arguments})
        done[chosen.function.__name__] += 1
        for check in job.invariants:
            check.function(job)
    job.teardown()
    return done


@pytest.mark.parametrize("seed", range(8))
def test_the_promise_holds_on_long_walks_and_every_rule_is_walked(seed):
    """Walk deeper than Hypothesis does: doubts that are covered, and what goes wrong with them, come late."""
    random = Random(seed)
    done = Counter[str]()
    for _ in range(60):
        done += _walk(random, 60)
    assert set(done) == {one.function.__name__ for one in Promise().rules}
    assert done["send_a_covered_doubt_again"] >= 3
