"""What a refusal that says only "busy" proves: nothing was placed, if it came at the door."""

from __future__ import annotations

import math

import pytest
from msgspec import structs

from imeiflow.dispatch.conclude import doubt_refusal, is_slow_refusal
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.reply import WholeError, account_for_failure
from imeiflow.providers.contract import Exchange, Placement
from tests.domain.sample import make_imeis

SENT = make_imeis(3)


def refuse(elapsed_s: float, kind: ErrorKind = ErrorKind.OVERLOAD) -> Placement:
    exchange = Exchange(ending=Ending.REFUSED_UNREAD, request=b"", reply=b"", http_status=503, elapsed_s=elapsed_s)
    return Placement(exchange, account_for_failure(SENT, Ending.REFUSED_UNREAD, WholeError(kind, "busy")))


@pytest.mark.parametrize(
    ("elapsed_s", "fastest_s", "is_slow"),
    [
        (0.01, 3.5, False),
        (1.7, 3.5, False),
        (1.8, 3.5, True),
        (0.2, 0.3, False),
        (0.2, math.inf, False),
        (5, math.inf, True),
    ],
)
def test_a_bare_refusal_that_took_as_long_as_work_does_may_have_come_after_it(
    elapsed_s: float, fastest_s: float, is_slow: bool
) -> None:
    assert is_slow_refusal(refuse(elapsed_s), fastest_s) is is_slow


def test_an_answer_that_says_busy_is_no_refusal_at_the_door() -> None:
    placement = refuse(60)
    answered = structs.replace(placement.exchange, ending=Ending.ANSWERED)
    assert not is_slow_refusal(Placement(answered, placement.account), 0.3)


def test_a_refusal_that_names_a_limit_is_believed_however_late_it_comes() -> None:
    assert not is_slow_refusal(refuse(60, ErrorKind.RATE), 0.3)


def test_what_is_taken_for_doubt_keeps_its_evidence_and_doubts_every_order() -> None:
    placement = doubt_refusal(refuse(5))
    assert placement.exchange.ending is Ending.IN_DOUBT
    assert placement.exchange.http_status == 503
    assert placement.account.count(Outcome.UNCONFIRMED) == len(SENT)
