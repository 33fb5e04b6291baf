from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.ident import OrderId, Reference
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.status import (
    MOST_UNASKED,
    Asked,
    Standing,
    StatusAnomalyKind,
    account_for_statuses,
    decide_status,
)

PENDING, IN_PROCESS, COMPLETED, REJECTED = ResultStatus


@dataclass(frozen=True)
class Word:
    """What a reply says of one order."""

    reference: Reference
    imei: str = ""
    status: ResultStatus | None = PENDING
    code: str = ""


def ask(*numbers: int) -> list[Asked]:
    return [Asked(OrderId(number), Reference(f"R{number}"), f"imei {number}") for number in numbers]


statuses = st.sampled_from([None, *ResultStatus])
codes = st.sampled_from(["", " ", "Carrier: X", "Carrier: Y", "processing"])
words = st.builds(
    Word,
    reference=st.integers(0, 9).map(lambda number: Reference(f"R{number}")),
    imei=st.sampled_from(["", *(f"imei {number}" for number in range(10))]),
    status=statuses,
    code=codes,
)


@given(st.sets(st.integers(0, 9)), st.lists(words))
def test_every_order_asked_for_is_accounted_for_exactly_once(numbers: set[int], reply: list[Word]):
    asked = ask(*numbers)
    account = account_for_statuses(asked, reply)
    said = [one.order for one in account.said]
    missing = [one.order for one in account.missing]
    odd = [one.order for one in account.anomalies if one.order is not None]
    assert sorted(said + missing + odd) == sorted(numbers)


@given(st.sets(st.integers(0, 9)), st.lists(words))
def test_an_order_is_told_only_what_was_said_of_its_own_reference_and_imei(numbers: set[int], reply: list[Word]):
    for one in account_for_statuses(ask(*numbers), reply).said:
        named = [word for word in reply if word.reference == f"R{one.order}"]
        assert named
        assert {(word.status, word.code.strip() or None) for word in named} == {(one.status, one.code)}
        assert {word.imei for word in named} <= {"", f"imei {one.order}"}


@given(st.sets(st.integers(0, 9)), st.lists(words))
def test_every_reference_that_nobody_asked_for_is_an_anomaly(numbers: set[int], reply: list[Word]):
    account = account_for_statuses(ask(*numbers), reply)
    unasked = {one.reference for one in account.anomalies if one.kind is StatusAnomalyKind.UNASKED}
    assert unasked == {word.reference for word in reply} - {f"R{number}" for number in numbers}


def test_an_order_of_another_imei_is_not_believed():
    account = account_for_statuses(ask(1), [Word(Reference("R1"), "imei 2", COMPLETED, "Carrier: X")])
    assert not account.said
    (anomaly,) = account.anomalies
    assert (anomaly.kind, anomaly.order) == (StatusAnomalyKind.FOREIGN_IMEI, 1)
    assert "imei 2" in anomaly.detail


def test_two_words_on_one_order_are_believed_only_where_they_agree():
    word = Word(Reference("R1"), "", COMPLETED, "Carrier: X")
    assert account_for_statuses(ask(1), [word, word]).said
    account = account_for_statuses(ask(1), [word, Word(Reference("R1"), "", REJECTED)])
    assert [one.kind for one in account.anomalies] == [StatusAnomalyKind.CONTRADICTION]
    assert not account.said


def test_a_list_of_all_that_a_server_has_is_not_recorded_without_end():
    reply = [Word(Reference(f"X{number}")) for number in range(10 * MOST_UNASKED)]
    assert len(account_for_statuses([], reply).anomalies) == MOST_UNASKED


@pytest.mark.parametrize("end", [COMPLETED, REJECTED])
@pytest.mark.parametrize("status", list(ResultStatus))
@pytest.mark.parametrize("code", [None, "Carrier: X", "Carrier: Y"])
def test_what_is_final_is_never_written_over(end: ResultStatus, status: ResultStatus, code: str | None):
    before = Standing(end, "Carrier: X", is_closed=True)
    news = decide_status(before, status, code)
    assert (news.status, news.code, news.is_change) == (end, "Carrier: X", False)
    fits = status is end and code in {None, "Carrier: X"}
    assert (news.anomaly is None) == fits


def test_a_result_that_was_missing_is_taken_late():
    news = decide_status(Standing(COMPLETED, None, is_closed=True), COMPLETED, "Carrier: X")
    assert (news.code, news.is_change, news.anomaly) == ("Carrier: X", True, None)


def test_an_end_that_the_placing_call_named_waits_for_its_result():
    news = decide_status(Standing(COMPLETED, None), COMPLETED, "Carrier: X")
    assert (news.status, news.code, news.is_change, news.was) == (COMPLETED, "Carrier: X", True, None)


def test_an_end_that_the_placing_call_named_is_not_taken_back():
    news = decide_status(Standing(COMPLETED, None), PENDING, None)
    assert (news.status, news.is_change, news.anomaly) == (COMPLETED, False, StatusAnomalyKind.BACKWARDS)


@pytest.mark.parametrize("known", [Standing(PENDING), Standing(IN_PROCESS), Standing(COMPLETED, "X", is_closed=True)])
def test_the_same_once_more_is_neither_news_nor_an_anomaly(known: Standing):
    assert known.status is not None
    news = decide_status(known, known.status, known.code)
    assert (news.status, news.code, news.is_change, news.anomaly) == (known.status, known.code, False, None)


def test_a_status_that_goes_on_is_news_and_no_anomaly():
    for before, after in ((None, PENDING), (PENDING, IN_PROCESS), (IN_PROCESS, COMPLETED), (PENDING, REJECTED)):
        news = decide_status(Standing(before), after, None)
        assert (news.status, news.is_change, news.was, news.anomaly) == (after, True, before, None)


def test_a_status_before_the_end_may_go_back_and_that_is_an_anomaly():
    news = decide_status(Standing(IN_PROCESS), PENDING, None)
    assert (news.status, news.is_change, news.anomaly) == (PENDING, True, StatusAnomalyKind.BACKWARDS)


def test_a_note_on_the_way_does_not_become_the_result():
    assert decide_status(Standing(IN_PROCESS, "sent to the supplier"), COMPLETED, None).code is None
    assert decide_status(Standing(IN_PROCESS, "sent to the supplier"), IN_PROCESS, None).code == "sent to the supplier"


@given(st.lists(st.tuples(st.sampled_from(list(ResultStatus)), st.sampled_from([None, "A", "B"]))))
def test_whatever_is_said_an_order_comes_to_its_end_at_most_once(said: list[tuple[ResultStatus, str | None]]):
    standing, ends = Standing(), 0
    for status, code in said:
        news = decide_status(standing, status, code)
        is_end = news.is_change and news.status.is_final and (news.was is None or not news.was.is_final)
        ends += is_end
        standing = Standing(news.status, news.code, standing.is_closed or status.is_final)
    assert ends == any(status.is_final for status, _ in said)
