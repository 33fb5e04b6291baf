"""The table of lies in the design, row by row: what the old script said against what was true."""

from __future__ import annotations

import re

import pytest

from imeiflow import BatchIMEIProcessor
from tests.library.shop import SERVICE, check_truth, make_imeis


def test_a_server_that_processes_only_the_last_imei_of_a_call_gets_every_order(open_shop):
    shop, imeis = open_shop(chunk_limit=1, chunk_cut="last"), make_imeis(400)
    result = BatchIMEIProcessor(max_workers=30, chunk_size=100).process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert result["successful"] == 400


def test_an_imei_that_was_placed_without_being_named_is_never_called_an_error(open_shop):
    shop, imeis = open_shop(chunk_limit=1, chunk_cut="last", cut_placed=True), make_imeis(300)
    result = BatchIMEIProcessor(max_workers=30, chunk_size=100).process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert (result["successful"], result["duplicates"]) == (299, 1)


def test_a_server_that_cuts_calls_at_fifty_gets_every_order(open_shop):
    shop, imeis = open_shop(chunk_limit=50), make_imeis(2000)
    result = BatchIMEIProcessor(max_workers=30, chunk_size=100).process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert result["successful"] + result["duplicates"] == 2000


def test_lost_replies_are_unconfirmed_where_repeats_are_charged_and_one_probe_is_the_whole_loss(open_shop):
    shop, imeis = open_shop(faults="reset:after@#40,90,140", repeats="charge", latency="0.01"), make_imeis(2000)
    result = BatchIMEIProcessor(max_workers=8, chunk_size=10).process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book(), probes=1)
    assert result["unconfirmed"] == 30
    assert "repeats are charged here" in result["reason"]
    assert result["spent"] == f"{sum(entry.price for entry in shop.book()) - 30 * shop.book()[0].price:f}"


def test_lost_replies_are_settled_where_repeats_are_refused(open_shop):
    shop, imeis = open_shop(faults="reset:after@#40,90,140", latency="0.01"), make_imeis(2000)
    result = BatchIMEIProcessor(max_workers=8, chunk_size=10).process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert (result["successful"], result["duplicates"], result["unconfirmed"]) == (1970, 30, 0)


def test_a_share_of_lost_replies_is_told_or_the_job_pauses_with_the_reason(open_shop):
    shop, imeis = open_shop(faults="reset:after@4%", repeats="charge", seed=7), make_imeis(2000)
    result = BatchIMEIProcessor(max_workers=8, chunk_size=10).process_batch(imeis, SERVICE)
    lost = re.search(r"for (\d+) whose reply was lost", result["reason"])  # the reply to a probe may be lost as well
    check_truth(result, imeis, shop.book(), probes=1 + (int(lost[1]) if lost else 0))
    assert result["unconfirmed"] > 0
    assert result["reason"]


def test_a_rate_limit_said_in_a_good_reply_slows_the_job_and_loses_nothing(open_shop):
    shop = open_shop(rate="20/s", rate_refusal="200-rate", rate_actions="placeorder", latency="0.02")
    imeis = make_imeis(600)
    result = BatchIMEIProcessor(max_workers=30, chunk_size=10).process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert result["successful"] == 600
    assert shop.simulator.stats()["refused"], "the limit was never met"


@pytest.mark.parametrize(
    "fault", ["close:after", "cut:before", "cut-xml:after", "empty:after", "html-200:after", "html-502:before"]
)
def test_whatever_a_reply_is_lost_to_nothing_is_guessed(open_shop, fault):
    shop, imeis = open_shop(faults=f"{fault}@#6", repeats="charge"), make_imeis(100)
    result = BatchIMEIProcessor(max_workers=4, chunk_size=10).process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book(), probes=1)
    assert result["unconfirmed"] > 0
    assert result["unconfirmed"] + result["successful"] == 100


@pytest.mark.parametrize("declaration", ["good", "phpxml"])
def test_a_nested_reply_is_read_order_by_order(open_shop, declaration):
    shop, imeis = open_shop(reply_layout="nested", declaration=declaration), make_imeis(2000)
    result = BatchIMEIProcessor(max_workers=30, chunk_size=100).process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert result["successful"] == 2000


@pytest.mark.parametrize("lockout", ["user", "credit", "ip"])
def test_what_was_not_sent_when_the_account_fails_is_an_error_and_never_passed_over(open_shop, lockout):
    shop, imeis = open_shop(lockout=lockout, lockout_from=20, latency="0.01"), make_imeis(500)
    result = BatchIMEIProcessor(max_workers=4, chunk_size=10).process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert result["state"] == "paused"
    assert result["errors"] == result["not_sent"] > 0
    assert {error["state"] for error in result["error_details"]} == {"not_sent"}
    assert result["reason"] in result["error_details"][0]["message"]


def test_bad_imeis_are_named_with_the_reason_and_the_others_are_ordered(open_shop):
    imeis = make_imeis(300)
    shop = open_shop(bad_imeis=",".join(imeis[40:43]))
    result = BatchIMEIProcessor(chunk_size=100).process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert {error["imei"] for error in result["error_details"]} == set(imeis[40:43])
    assert all("Invalid IMEI" in error["message"] for error in result["error_details"])
