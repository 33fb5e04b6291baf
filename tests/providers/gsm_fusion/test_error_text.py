"""Error texts and what they are about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imeiflow.domain.outcome import ErrorKind
from imeiflow.providers.gsm_fusion.error_text import read_error

TEXTS = {
    ErrorKind.ACCOUNT: [
        "Invalid User!",
        "Invalid API Key!",
        "API access to you is not allowed!",
        "This user is not active",
        "Invalid IP request![203.0.113.7]",
        "Invalid IP request! (203.0.113.7)",
        "Credit has been finished!",
        "Not enough credits",
        "Website is in maintenance, please try again later",
        "insufficient balance",
        "Error: Invalid API key",
    ],
    ErrorKind.SERVICE: ["Invalid value of Network Id!", "Invalid Network!", "This service is not available"],
    ErrorKind.ORDER: ["Invalid IMEI: 356938035643809", "Invalid IMEI!", "Invalid IMEI: N", "IMEI is not valid"],
    ErrorKind.RATE: [
        "Rate limit exceeded",
        "RATE LIMIT EXCEEDED!!",
        "Too many requests",
        "Too many connections",
        "You are calling this API too frequently",
        "Please slow down",
        "Try again in 30 seconds",
        "Please try again after 2 minutes.",
        "You must wait 30 seconds before sending another order",
        "Too many requests received, wait 5 s",
        "Request could not be processed: rate limit exceeded",
    ],
    ErrorKind.OVERLOAD: [
        "Server busy",
        "Please try again later",
        "Internal error",
        "temporarily unavailable",
        "Server timeout, please try again in 5 minutes",
        "Database error. Please try again after 30 seconds",
    ],
    ErrorKind.CHUNK: [
        "Too many IMEIs",
        "Maximum 50 IMEIs allowed",
        "only 10 IMEIs allowed",
        "Limit of 20 IMEIs per request",
        "50 IMEIs per request",
        "You can send only one IMEI",
    ],
    ErrorKind.UNKNOWN: [
        "",
        "Success",
        "Invalid Order ID",
        "Invalid Action",
        "Something else",
        "Not enough credits for the remaining IMEIs, 3 orders placed",
        "Rate limit exceeded, 5 orders were accepted",
        "Order submitted successfully, please wait 30 minutes",
        "Order received. Please wait for 2 hours",
        "Your order is queued, wait 5 minutes",
        "57 orders submitted, too many requests",
        "Rate limit exceeded (37 of 100 orders were placed)",
        "Too many requests [1 processed, 1 remaining]",
        "Invalid User! (1 order was accepted before)",
        "Rate limit exceeded, 37 orders saved",
        "Rate limit exceeded. " + "Please read the terms of use of this interface. " * 5 + "One order was charged.",
        "The user said: Invalid User! is what I saw",
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in TEXTS.items() for text in texts])
def test_a_text_is_of_its_kind(kind: ErrorKind, text: str) -> None:
    error = read_error(text)
    assert (error.kind, error.duplicate) == (kind, False)


@given(st.sampled_from([(kind, text) for kind, texts in TEXTS.items() for text in texts if text]), st.data())
def test_case_punctuation_and_what_stands_at_the_end_do_not_count(
    known: tuple[ErrorKind, str], data: st.DataObject
) -> None:
    kind, text = known
    before = data.draw(st.sampled_from(["", " ", "<b>", "* "]))
    after = data.draw(st.sampled_from(["", "!", "...", " !!", " [12]", " (x)", "</b>", " 4711"]))
    changed = data.draw(st.sampled_from([text, text.upper(), text.lower()]))
    assert read_error(before + changed + after).kind is kind


@pytest.mark.parametrize(
    "text",
    [
        "IMEI already exists!",
        "imei already exists",
        "IMEI already exists: 356938035643809",
        "Duplicate IMEI",
        "Duplicate IMEI 356938035643809",
        "IMEI 356938035643809 already available or pending in your account",
        "356938035643809 is already pending in your account",
        "This IMEI is already available or pending in your account!",
    ],
)
def test_an_order_that_exists_is_a_duplicate(text: str) -> None:
    error = read_error(text)
    assert error.duplicate
    assert error.kind is ErrorKind.ORDER


@pytest.mark.parametrize(
    "text", ["Duplicate request", "User already exists", "IMEI does not exist", "not a duplicate IMEI"]
)
def test_a_text_about_something_else_is_no_duplicate(text: str) -> None:
    assert not read_error(text).duplicate


def test_the_wait_is_read() -> None:
    assert read_error("Too many requests, try again in 2 minutes").retry_after_s == 120
    assert read_error("Too many requests").retry_after_s is None


@given(st.text())
def test_no_text_raises_and_no_message_is_long(text: str) -> None:
    assert len(read_error(text).message) <= 200


@pytest.mark.parametrize("text", TEXTS[ErrorKind.ACCOUNT])
def test_that_the_credit_is_used_up_is_told_from_other_errors_of_the_account(text: str) -> None:
    assert read_error(text).is_of_credit == any(word in text.lower() for word in ("credit", "balance"))
