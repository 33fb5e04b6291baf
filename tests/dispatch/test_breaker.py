"""The breaker pauses a job when too much of it is in doubt, or refused; and counts exactly."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from imeiflow.dispatch.breaker import Breaker, BreakerPolicy
from imeiflow.domain.outcome import Outcome
from imeiflow.domain.reply import Account, Finding
from tests.domain.sample import make_imeis


def _account(outcomes: Iterable[Outcome]) -> Account:
    listed = list(outcomes)
    return Account(dict(zip(make_imeis(len(listed)), map(Finding, listed), strict=True)))


ONE_IN_DOUBT = _account([Outcome.UNCONFIRMED, Outcome.ACCEPTED])
ALL_ACCEPTED = _account([Outcome.ACCEPTED] * 4)
ALL_REFUSED = _account([Outcome.REFUSED] * 4)


def test_a_tenth_of_fifty_attempts_in_doubt_is_borne_and_one_more_is_not() -> None:
    breaker = Breaker()
    assert [breaker.add(ONE_IN_DOUBT) for _ in range(5)] == [None] * 5
    assert breaker.add(ONE_IN_DOUBT) == "6 of the last 6 calls got no clear answer: their orders may have been placed"


def test_doubts_that_lie_far_back_are_forgotten() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.add(ONE_IN_DOUBT)
    for _ in range(50):
        assert breaker.add(ALL_ACCEPTED) is None
    assert [breaker.add(ONE_IN_DOUBT) for _ in range(5)] == [None] * 5


def test_three_tenths_of_200_orders_refused_are_borne_and_more_are_not() -> None:
    breaker = Breaker()
    for _ in range(15):
        assert breaker.add(ALL_REFUSED) is None
    assert breaker.add(ALL_REFUSED) == "the provider refused 64 of the last 64 orders"


def test_calls_that_were_refused_unread_say_nothing_of_the_orders() -> None:
    breaker = Breaker(BreakerPolicy(refusal_share=0.1, refusal_window=10))
    for _ in range(100):
        assert breaker.add(_account([Outcome.THROTTLED, Outcome.UNSENT])) is None


@given(
    st.lists(st.lists(st.sampled_from(Outcome), min_size=1, max_size=4), max_size=40),
    st.builds(
        BreakerPolicy,
        doubt_share=st.sampled_from([0.1, 0.5]),
        doubt_window=st.integers(1, 12),
        refusal_share=st.sampled_from([0.1, 0.5]),
        refusal_window=st.integers(1, 12),
    ),
)
def test_the_running_counts_are_those_of_the_last_so_many(calls: list[list[Outcome]], policy: BreakerPolicy) -> None:
    breaker = Breaker(policy)
    doubts: deque[bool] = deque(maxlen=policy.doubt_window)
    refusals: deque[bool] = deque(maxlen=policy.refusal_window)
    for outcomes in calls:
        reason = breaker.add(_account(outcomes))
        doubts.append(Outcome.UNCONFIRMED in outcomes)
        read = [outcome for outcome in outcomes if outcome not in {Outcome.THROTTLED, Outcome.UNSENT}]
        refusals.extend(outcome is Outcome.REFUSED for outcome in read)
        is_doubtful = sum(doubts) > policy.doubt_share * policy.doubt_window
        is_refused = sum(refusals) > policy.refusal_share * policy.refusal_window
        assert (reason is not None) == (is_doubtful or is_refused)
