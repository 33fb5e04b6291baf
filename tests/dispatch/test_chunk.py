"""How many orders a call carries: found with one call at risk, remembered, and kept under a person's maximum."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from imeiflow.dispatch.chunk import ChunkSize, Verdict, has_all, is_spoiled, judge, read_hint
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.reply import Account, Finding, ReplyContent, WholeError, account_for
from tests.domain.sample import make_imei, make_imeis


def _search(chunk: ChunkSize, works: int, *, largest: int | None = None, named: int | None = None) -> list[int]:
    """Let canaries leave until none is left to send; the server accounts for calls of up to `works`."""
    canaries = []
    while True:
        size, is_canary = chunk.next(largest)
        if not is_canary:
            return canaries
        canaries.append(size)
        assert len(canaries) < 20
        chunk.sent(size)
        verdict = Verdict.WORKS if size <= works else Verdict.FAILS
        count = size if size <= works else works if named is None else named
        chunk.learn(size, verdict, named=count, hint=None, is_canary=True)


def _answer(*outcomes: Outcome, error: WholeError | None = None) -> Account:
    imeis = make_imeis(len(outcomes))
    return Account({imei: Finding(outcome) for imei, outcome in zip(imeis, outcomes, strict=True)}, error)


def test_a_pair_and_then_one_full_call_find_that_all_sizes_work() -> None:
    chunk = ChunkSize()
    assert _search(chunk, 100) == [2, 100]
    assert chunk.next() == (100, False)
    assert chunk.is_known


@pytest.mark.parametrize(
    ("works", "canaries", "found"),
    [
        (50, [2, 100, 50, 56], 50),
        (20, [2, 100, 50, 20, 30, 22], 20),
        (1, [2], 1),
        (37, [2, 100, 50, 20, 30, 33, 41, 37], 37),
    ],
)
def test_limits_that_people_set_are_tried_before_others(works: int, canaries: list[int], found: int) -> None:
    chunk = ChunkSize()
    assert _search(chunk, works, named=0) == canaries
    assert chunk.usual == found


@pytest.mark.parametrize(
    ("works", "canaries", "found", "doubts"),
    [
        (100, [2, 50, 51, 100], 100, 0),
        (50, [2, 50, 51], 50, 51),
        (49, [2, 50, 20, 30], 30, 50),
        (60, [2, 50, 51, 100], 51, 100),
    ],
)
def test_a_long_job_tries_fifty_and_one_more_before_a_hundred(
    works: int, canaries: list[int], found: int, doubts: int
) -> None:
    chunk, sent, lost = ChunkSize(), [], 0
    while (step := chunk.next(waiting=30_000))[1]:
        [size, _] = step
        sent.append(size)
        chunk.sent(size)
        verdict = Verdict.WORKS if size <= works else Verdict.FAILS
        lost += 0 if size <= works else size
        chunk.learn(size, verdict, named=size if size <= works else 0, hint=None, is_canary=True)
    assert sent == canaries
    assert (chunk.usual, lost) == (found, doubts)
    assert not chunk.is_far_from_known


def test_a_shorter_job_tries_a_hundred_at_once() -> None:
    chunk = ChunkSize()
    chunk.learn(2, Verdict.WORKS, named=2, hint=None, is_canary=True)
    assert chunk.next(waiting=20_000) == (100, True)
    chunk.learn(50, Verdict.WORKS, named=50, hint=None, is_canary=True)
    assert chunk.next(waiting=20_000) == (100, True)


@pytest.mark.parametrize(("waiting", "size"), [(30_000, (50, False)), (300_000, (56, True)), (None, (56, True))])
def test_a_canary_that_may_fail_must_be_worth_it(waiting: int | None, size: tuple[int, bool]) -> None:
    chunk = ChunkSize()
    for tried, verdict in ((2, Verdict.WORKS), (100, Verdict.FAILS), (50, Verdict.WORKS)):
        chunk.learn(tried, verdict, named=0, hint=None, is_canary=True)
    assert chunk.next(waiting=waiting) == size
    assert chunk.is_known_up_to(None, waiting) is (not size[1])


def test_a_short_job_stays_with_the_size_that_works() -> None:
    chunk = ChunkSize()
    for tried, verdict in ((2, Verdict.WORKS), (100, Verdict.FAILS)):
        chunk.learn(tried, verdict, named=0, hint=None, is_canary=True)
    assert chunk.next(waiting=150) == (2, False)
    assert chunk.next(waiting=1000) == (50, True)


def test_single_calls_go_beside_a_canary_and_never_a_second_canary() -> None:
    chunk = ChunkSize()
    chunk.sent(chunk.next()[0])
    assert chunk.next() == (1, False)


def test_while_the_full_canary_is_out_calls_of_the_proved_size_go_beside_it() -> None:
    chunk = ChunkSize()
    chunk.learn(2, Verdict.WORKS, named=2, hint=None, is_canary=True)
    chunk.sent(chunk.next()[0])
    assert chunk.next() == (2, False)


def test_a_server_that_reports_one_order_a_call_gets_one_order_a_call() -> None:
    chunk = ChunkSize()
    assert _search(chunk, 1) == [2]
    assert chunk.next() == (1, False)
    assert "in one call did not work" in chunk.reason


def test_a_server_that_cuts_at_fifty_is_found_by_what_it_named() -> None:
    chunk = ChunkSize()
    assert _search(chunk, 50) == [2, 100, 50]
    assert chunk.next() == (50, False)


def test_a_number_in_the_refusal_is_tried_first() -> None:
    chunk = ChunkSize()
    chunk.learn(2, Verdict.WORKS, named=2, hint=None, is_canary=True)
    chunk.learn(100, Verdict.FAILS, named=0, hint=30, is_canary=True)
    assert chunk.next() == (30, True)


@given(works=st.integers(1, 100), says=st.booleans())
def test_the_size_that_is_found_works_and_is_not_far_from_the_largest(works: int, says: bool) -> None:
    chunk = ChunkSize()
    canaries = _search(chunk, works, named=None if says else 0)
    assert chunk.usual <= works
    assert chunk.usual >= works / 2
    assert len([size for size in canaries if size > works]) <= 6


@given(works=st.integers(1, 100), largest=st.integers(1, 100))
def test_no_call_is_above_a_maximum_and_the_search_goes_on_below_it(works: int, largest: int) -> None:
    chunk = ChunkSize()
    canaries = _search(chunk, works, largest=largest)
    assert all(size <= largest for size in canaries)
    assert chunk.next(largest)[0] <= min(works, largest)
    assert chunk.is_known_up_to(largest)
    if works == 100:
        assert chunk.next(largest) == (largest, False)


def test_a_maximum_of_one_job_does_not_end_the_search_of_another() -> None:
    chunk = ChunkSize()
    _search(chunk, 100, largest=30)
    assert chunk.next(30) == (30, False)
    assert chunk.next() == (100, True)


def test_a_maximum_below_what_is_known_to_work_is_kept() -> None:
    assert ChunkSize(learned={"size": 100, "failed": None}).next(30) == (30, False)


def test_what_was_found_under_a_maximum_is_where_a_later_search_begins() -> None:
    chunk = ChunkSize()
    _search(chunk, 100, largest=30)
    later = ChunkSize(learned=json.loads(json.dumps(chunk.as_learned())))
    assert later.next(30) == (30, False)
    assert _search(later, 100) == [100]


@given(works=st.integers(1, 100))
def test_a_learned_size_is_used_at_once_by_whoever_comes_later(works: int) -> None:
    chunk = ChunkSize()
    _search(chunk, works)
    later = ChunkSize(learned=json.loads(json.dumps(chunk.as_learned())))
    assert later.next() == chunk.next()
    assert later.is_known


@given(works=st.integers(1, 100), steps=st.integers(1, 8))
def test_a_search_that_was_broken_off_goes_on_where_it_stopped(works: int, steps: int) -> None:
    whole = ChunkSize()
    canaries = _search(whole, works, named=0)
    broken_off = ChunkSize()
    for size in canaries[:steps]:
        broken_off.sent(size)
        verdict = Verdict.WORKS if size <= works else Verdict.FAILS
        broken_off.learn(size, verdict, named=size if size <= works else 0, hint=None, is_canary=True)
    later = ChunkSize(learned=json.loads(json.dumps(broken_off.as_learned())))
    assert later.is_known == broken_off.is_known
    assert _search(later, works, named=0) == canaries[steps:]
    assert later.usual == whole.usual


def _remember(works: int) -> ChunkSize:
    """Give the size of a later job that finds what an earlier one has learned a while ago."""
    chunk = ChunkSize()
    _search(chunk, works)
    return ChunkSize(learned=json.loads(json.dumps(chunk.as_learned())), is_stale=True)


@given(works=st.integers(2, 100))
def test_a_size_that_was_learned_a_while_ago_is_tried_by_one_call_and_then_used(works: int) -> None:
    fresh, later = ChunkSize(), _remember(works)
    _search(fresh, works)
    assert later.next() == (fresh.usual, True)
    assert later.as_learned() is None  # what is remembered stays, until something was seen
    later.sent(fresh.usual)
    assert later.next() == (1, False)
    later.learn(fresh.usual, Verdict.WORKS, named=fresh.usual, hint=None, is_canary=True)
    assert (later.next(), later.is_known, later.has_news) == (fresh.next(), True, True)
    assert later.as_learned() == fresh.as_learned()


@given(works=st.integers(1, 99))
def test_where_the_server_takes_fewer_than_it_did_the_search_begins_below_and_costs_one_call(works: int) -> None:
    later = _remember(100)
    canaries = _search(later, works)
    assert canaries[0] == 100
    assert all(size < 100 for size in canaries[1:])
    assert later.usual == ChunkSize(learned=later.as_learned()).usual <= works
    assert later.usual * 9 >= works * 8 - 9


def test_a_trial_that_is_lost_is_made_once_more_before_the_size_is_blamed() -> None:
    later = _remember(100)
    for _ in range(2):
        assert later.next() == (100, True)
        later.sent(100)
        lost = _answer(*[Outcome.UNCONFIRMED] * 100)
        later.hear(100, Ending.IN_DOUBT, lost, is_canary=True, is_placing=True)
    assert later.next()[0] < 100


def test_a_trial_of_a_short_job_is_of_all_that_waits_and_leaves_what_is_remembered() -> None:
    later = _remember(100)
    assert later.next(None, 40) == (40, True)
    later.sent(40)
    later.learn(40, Verdict.WORKS, named=40, hint=None, is_canary=True)
    assert not later.has_news
    assert later.next(None, 40) == (40, False)
    assert later.next(30, 4000) == (30, False)
    assert later.next(None, 4000) == (100, True)


def test_a_full_call_that_failed_does_not_leave_single_calls_for_ever() -> None:
    chunk = ChunkSize()
    chunk.learn(2, Verdict.DOUBTFUL, named=0, hint=None, is_canary=True)
    chunk.learn(100, Verdict.FAILS, named=0, hint=None, is_canary=True)
    assert chunk.usual == 1
    later = ChunkSize(learned=chunk.as_learned())
    assert not later.is_known
    assert later.next()[1]


def test_nothing_is_remembered_before_anything_was_found() -> None:
    assert ChunkSize().as_learned() is None


def test_a_pinned_size_is_not_questioned() -> None:
    assert ChunkSize(learned={"size": 40}).next() == (40, False)


def test_the_users_word_needs_no_canary() -> None:
    chunk = ChunkSize(known=100)
    assert chunk.next() == (100, False)
    assert chunk.reason == "set by you"


@pytest.mark.parametrize("learned", [None, {}, {"size": 0}, {"size": "40"}, {"size": True}, [40], "40"])
def test_what_cannot_be_a_learned_size_is_as_if_nothing_were_known(learned: object) -> None:
    assert ChunkSize(learned=learned).next() == (2, True)


def test_a_known_size_that_fails_is_searched_again_below() -> None:
    chunk = ChunkSize(learned={"size": 100, "failed": None})
    chunk.learn(100, Verdict.FAILS, named=40, hint=None, is_canary=False)
    assert chunk.next() == (40, True)


def test_a_canary_that_was_refused_unread_is_sent_again() -> None:
    chunk = ChunkSize()
    chunk.sent(2)
    chunk.withdraw()
    assert chunk.next() == (2, True)


def test_after_a_spoiled_call_sizes_are_small_for_a_while() -> None:
    chunk = ChunkSize(known=100)
    chunk.shrink(100)
    assert chunk.next() == (25, False)
    for _ in range(16):
        chunk.learn(chunk.usual, Verdict.WORKS, named=25, hint=None, is_canary=False)
    assert chunk.next() == (100, False)


def test_doubt_speaks_against_the_size_of_a_canary_only() -> None:
    account = _answer(Outcome.UNCONFIRMED)
    assert judge(100, Ending.IN_DOUBT, account, is_canary=True) is Verdict.FAILS
    assert judge(100, Ending.IN_DOUBT, account, is_canary=False) is Verdict.NOTHING


@pytest.mark.parametrize(("size", "proved"), [(2, 1), (51, 50)])
def test_a_lost_canary_may_be_chance_so_another_is_sent_before_a_size_is_blamed_that_ends_the_search(
    size: int, proved: int
) -> None:
    assert judge(size, Ending.IN_DOUBT, _answer(Outcome.UNCONFIRMED), is_canary=True) is Verdict.DOUBTFUL
    chunk = ChunkSize()
    if proved > 1:
        chunk.learn(proved, Verdict.WORKS, named=proved, hint=None, is_canary=True)
    chunk.sent(size)
    chunk.doubt(size)
    assert chunk.next(waiting=30_000) == (size, True)
    chunk.sent(size)
    chunk.doubt(size)
    assert chunk.next(waiting=30_000) == (proved, False)


@pytest.mark.parametrize(
    ("size", "kind", "verdict"),
    [
        (2, ErrorKind.ORDER, Verdict.DOUBTFUL),
        (2, ErrorKind.UNKNOWN, Verdict.DOUBTFUL),
        (100, ErrorKind.ORDER, Verdict.DOUBTFUL),
        (51, ErrorKind.UNKNOWN, Verdict.DOUBTFUL),
        (100, ErrorKind.UNKNOWN, Verdict.FAILS),
        (2, ErrorKind.CHUNK, Verdict.FAILS),
        (51, ErrorKind.CHUNK, Verdict.FAILS),
    ],
)
def test_an_order_that_spoils_a_canary_says_little_of_its_size(size: int, kind: ErrorKind, verdict: Verdict) -> None:
    account = _answer(Outcome.UNCONFIRMED, error=WholeError(kind, "IMEI already exists!"))
    assert judge(size, Ending.ANSWERED, account, is_canary=True) is verdict


def test_an_order_that_spoils_a_small_call_does_not_disprove_a_larger_size() -> None:
    account = _answer(Outcome.UNCONFIRMED, error=WholeError(ErrorKind.ORDER, "Invalid IMEI!"))
    assert judge(2, Ending.ANSWERED, account, is_canary=False) is Verdict.NOTHING


def test_a_call_whose_every_order_is_accounted_for_proves_its_size() -> None:
    account = _answer(Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.REFUSED)
    assert judge(100, Ending.ANSWERED, account, is_canary=True) is Verdict.WORKS


def test_a_call_that_leaves_one_order_unnamed_disproves_it() -> None:
    account = _answer(Outcome.ACCEPTED, Outcome.UNCONFIRMED)
    assert judge(100, Ending.ANSWERED, account, is_canary=False) is Verdict.FAILS


@pytest.mark.parametrize("ending", [Ending.NOT_SENT, Ending.REFUSED_UNREAD])
def test_a_call_that_was_not_read_shows_nothing(ending: Ending) -> None:
    assert judge(100, ending, _answer(Outcome.UNSENT), is_canary=True) is Verdict.NOTHING


def test_a_throttled_call_shows_nothing() -> None:
    assert judge(100, Ending.ANSWERED, _answer(Outcome.THROTTLED), is_canary=True) is Verdict.NOTHING


@pytest.mark.parametrize(
    ("kind", "text", "hint"),
    [
        (ErrorKind.CHUNK, "At most 50 IMEIs are allowed", 50),
        (ErrorKind.CHUNK, "Maximum IMEI limit exceeded!", None),
        (ErrorKind.CHUNK, "only 1 IMEI at once, not 100", 100),
        (ErrorKind.ORDER, "Invalid IMEI: 50", None),
    ],
)
def test_a_refusal_of_the_size_may_name_one(kind: ErrorKind, text: str, hint: int | None) -> None:
    assert read_hint(_answer(Outcome.REFUSED, error=WholeError(kind, text))) == hint


def test_an_error_of_one_order_spoils_a_call_of_several() -> None:
    error = WholeError(ErrorKind.ORDER, "Invalid IMEI!")
    assert is_spoiled(2, _answer(Outcome.UNCONFIRMED, Outcome.UNCONFIRMED, error=error))
    assert not is_spoiled(1, _answer(Outcome.REFUSED, error=error))
    assert not is_spoiled(2, _answer(Outcome.ACCEPTED, Outcome.ACCEPTED))


def test_while_the_provider_has_them_all_calls_carry_one_order_and_no_canary_leaves():
    size = ChunkSize()
    assert size.next() == (2, True)
    size.sent(2)
    size.hold_back()
    assert size.next() == (1, False)
    assert not size.is_far_from_known
    size.resume()
    assert size.next() == (2, True)


@pytest.mark.parametrize(("outcome", "grows"), [(Outcome.DUPLICATE, False), (Outcome.ACCEPTED, True)])
def test_calls_grow_again_only_when_an_order_was_new_to_the_provider(outcome: Outcome, *, grows: bool):
    size = ChunkSize(known=100)
    size.hold_back()
    size.hear(1, Ending.ANSWERED, _answer(outcome), is_canary=False, is_placing=True)
    assert size.reason.startswith("growing again") is grows


def test_after_orders_that_the_provider_had_calls_grow_back_to_the_size_that_works():
    size = ChunkSize(known=100)
    size.hold_back()
    assert size.next() == (1, False)
    size.learn(1, Verdict.WORKS, named=1, hint=None, is_canary=False)
    assert size.next() == (1, False)
    size.resume()
    for _ in range(80):
        size.learn(size.usual, Verdict.WORKS, named=size.usual, hint=None, is_canary=False)
    assert size.next() == (100, False)


def test_only_a_bare_error_for_several_orders_says_that_the_provider_has_them_all():
    bare = ReplyContent(error=WholeError(ErrorKind.ORDER, "IMEI already exists!", duplicate=True))
    imeis = [make_imei(1), make_imei(2)]
    assert has_all(2, account_for(imeis, bare))
    assert not has_all(1, account_for(imeis[:1], bare))
    assert not has_all(2, account_for(imeis, structs.replace(bare, duplicates=(imeis[0],))))


@pytest.mark.parametrize(
    ("named", "hint", "said"),
    [
        (1, None, "of a call of 100 orders the provider named only 1"),
        (0, None, "of a call of 100 orders the provider named none"),
        (0, 50, "the provider refused a call of 100 orders"),
        (100, None, "the provider refused a call of 100 orders"),
    ],
)
def test_it_says_what_became_of_a_call_that_was_too_long(named, hint, said):
    chunk = ChunkSize()
    chunk.learn(2, Verdict.WORKS, named=2, hint=None, is_canary=True)
    assert chunk.reason == "the provider named all of a call of 2 orders"
    chunk.learn(100, Verdict.FAILS, named=named, hint=hint, is_canary=True)
    assert chunk.reason == said
