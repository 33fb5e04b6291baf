"""The batch processor: lists as people have them, progress, interruptions, and several at once."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from imeiflow import BatchIMEIProcessor, Client, GSMFusionAPIError, get_recommended_settings
from imeiflow.operations.admission import WaitingElsewhereError
from tests.library.shop import SERVICE, check_truth, make_imeis

KEYS = {"total", "successful", "duplicates", "errors", "orders", "error_details", "processing_time"}


def test_a_result_has_the_old_keys_and_is_json(open_shop):
    open_shop()
    result = BatchIMEIProcessor().process_batch(make_imeis(3), SERVICE)
    assert set(result) >= KEYS
    assert json.loads(json.dumps(result)) == result
    assert set(result["orders"][0]) == {"id", "imei", "status"}


def test_repeated_and_invalid_values_are_counted_and_ordered_once(open_shop):
    shop, (one, two) = open_shop(), make_imeis(2)
    values = [one, "12345", two, f" {one[:6]}-{one[6:]} ", "", None, one[:-1] + str((int(one[-1]) + 1) % 10), int(two)]
    result = BatchIMEIProcessor().process_batch(values, SERVICE)
    assert sorted(entry.imei for entry in shop.book()) == [one, two]
    assert [result[name] for name in ("total", "successful", "duplicates", "errors", "repeated")] == [8, 2, 2, 4, 2]
    assert result["unconfirmed"] == 0
    assert result["duplicate_imeis"] == [one, two]
    assert [error["state"] for error in result["error_details"]] == ["invalid"] * 4
    assert all(error["message"].endswith("Nothing was sent.") for error in result["error_details"])


@pytest.mark.parametrize("shape", [str, int, lambda imei: [imei], lambda imei: iter((imei,)), lambda imei: {imei: 1}])
def test_a_single_imei_may_be_given_in_any_shape(open_shop, shape):
    shop, (imei,) = open_shop(), make_imeis(1)
    result = BatchIMEIProcessor().process_batch(shape(imei), int(SERVICE))
    check_truth(result, [imei], shop.book())
    assert result["successful"] == 1


def test_a_text_is_split_at_commas_and_line_ends(open_shop):
    open_shop()
    assert BatchIMEIProcessor().process_batch(", ".join(make_imeis(2)) + "\r\n", SERVICE)["successful"] == 2


@pytest.mark.parametrize("values", [[], ["12345"]])
def test_a_list_with_nothing_to_order_is_finished_without_a_call(open_shop, values):
    shop = open_shop()
    result = BatchIMEIProcessor().process_batch(values, SERVICE)
    assert (result["total"], result["errors"], result["state"]) == (len(values), len(values), "finished")
    assert "placeorder" not in shop.simulator.stats()["actions"]


@pytest.mark.parametrize("values", [None, 3.5, b"35", True])
def test_what_is_no_list_is_refused(open_shop, values):
    open_shop()
    with pytest.raises(GSMFusionAPIError, match="a list of IMEIs is expected"):
        BatchIMEIProcessor().process_batch(values, SERVICE)


@pytest.mark.parametrize("options", [{"max_workers": 0}, {"chunk_size": 0}, {"chunk_size": True}, {"max_workers": "9"}])
def test_a_ceiling_that_makes_no_sense_is_refused(options):
    with pytest.raises(GSMFusionAPIError, match=next(iter(options))):
        BatchIMEIProcessor(**options)


@pytest.mark.parametrize("delay", [-0.1, float("inf"), float("nan"), True, "0.1"])
def test_a_delay_that_makes_no_sense_is_refused(delay):
    with pytest.raises(GSMFusionAPIError, match="rate_limit_delay"):
        BatchIMEIProcessor(rate_limit_delay=delay)


def test_a_chunk_size_is_a_maximum_that_is_still_tried_out_first(open_shop):
    shop, imeis = open_shop(log_calls=True, latency="0.05"), make_imeis(200)
    BatchIMEIProcessor(max_workers=4, chunk_size=7).process_batch(imeis, SERVICE)
    sizes = [call["imeis"] for call in shop.simulator.calls() if call["action"] == "placeorder"]
    assert max(sizes) == 7
    assert 2 in sizes
    assert sizes.index(2) < sizes.index(7)


def test_workers_are_a_ceiling_for_calls_at_once(open_shop):
    shop = open_shop(latency="0.05")
    BatchIMEIProcessor(max_workers=3, chunk_size=1).process_batch(make_imeis(60), SERVICE)
    assert 1 < shop.simulator.stats()["peak"] <= 3


def test_a_delay_is_a_floor_on_the_pace(open_shop):
    shop = open_shop(log_calls=True)
    BatchIMEIProcessor(max_workers=30, chunk_size=1, rate_limit_delay=0.1).process_batch(make_imeis(11), SERVICE)
    begun_at = [call["at"] for call in shop.simulator.calls() if call["action"] == "placeorder"]
    assert max(begun_at) - min(begun_at) >= 0.9


def test_what_a_chunk_size_kept_from_being_tried_is_not_held_for_impossible_later(open_shop):
    shop = open_shop(log_calls=True)
    BatchIMEIProcessor(chunk_size=7).process_batch(make_imeis(100), SERVICE)
    BatchIMEIProcessor().process_batch(make_imeis(400, first=1000), SERVICE)
    assert max(call["imeis"] for call in shop.simulator.calls() if call["action"] == "placeorder") == 100


def test_progress_is_told_in_the_callers_thread_and_the_last_word_is_the_result(open_shop):
    open_shop(latency="0.3")
    told = []

    def note(processed, total, result):
        told.append((processed, total, dict(result), threading.get_ident()))

    result = BatchIMEIProcessor(max_workers=2, chunk_size=10).process_batch(make_imeis(60), SERVICE, note)
    assert {thread for *_, thread in told} == {threading.get_ident()}
    assert [processed for processed, *_ in told] == sorted(processed for processed, *_ in told)
    assert any(0 < processed < 60 for processed, *_ in told), "nothing was told on the way"
    assert told[-1][:3] == (60, 60, result)
    for processed, total, so_far, _ in told[:-1]:
        parts = ("successful", "duplicates", "errors", "unconfirmed")
        assert sum(so_far[name] for name in parts) == processed == so_far["processed"]
        assert (total, so_far["done"], so_far["orders"]) == (60, False, [])


def test_a_callback_that_fails_loses_no_order_and_is_logged(open_shop, caplog):
    shop, imeis = open_shop(latency="0.1"), make_imeis(50)

    def fail(processed, total, result):
        raise ValueError("the screen is gone")

    with caplog.at_level(logging.WARNING, "imeiflow"):
        result = BatchIMEIProcessor(chunk_size=10).process_batch(imeis, SERVICE, fail)
    check_truth(result, imeis, shop.book())
    assert result["successful"] == 50
    assert "the screen is gone" in caplog.text


def test_ctrl_c_in_a_callback_ends_the_calls_under_way_and_the_same_call_goes_on(open_shop):
    shop, imeis = open_shop(latency="0.2"), make_imeis(80)

    def interrupt(processed, total, result):
        if processed:
            raise KeyboardInterrupt

    processor = BatchIMEIProcessor(max_workers=2, chunk_size=5)
    with pytest.raises(KeyboardInterrupt):
        processor.process_batch(imeis, SERVICE, interrupt)
    with Client() as client:
        (job,) = client.jobs()
        counts = client.report(job.id).counts
    assert (job.state, job.reason) == ("paused", "interrupted")
    assert counts.unconfirmed == 0
    assert 0 < counts.accepted == len(shop.book()) < 80
    result = processor.process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert (result["successful"], result["job"]) == (80, job.id)


def test_leaving_the_generator_pauses_the_job_and_the_same_call_goes_on(open_shop):
    shop, imeis = open_shop(latency="0.2"), make_imeis(80)
    processor = BatchIMEIProcessor(max_workers=2, chunk_size=5)
    for moment in processor.process_with_progress(imeis, SERVICE):
        if moment["processed"]:
            break
    with Client() as client:
        assert client.jobs()[0].state == "paused"
    assert len(shop.book()) < 80
    *_, result = processor.process_with_progress(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert (result["successful"], result["done"]) == (80, True)


def test_a_generator_that_was_never_begun_orders_nothing(open_shop):
    shop = open_shop()
    BatchIMEIProcessor().process_with_progress(make_imeis(3), SERVICE).close()
    assert shop.book() == []


def test_moments_of_the_generator_can_be_sent_to_a_browser(open_shop):
    open_shop(latency="0.3")
    moments = list(BatchIMEIProcessor(chunk_size=5).process_with_progress(make_imeis(20), SERVICE))
    assert [moment["done"] for moment in moments] == [False] * (len(moments) - 1) + [True]
    assert all(json.loads(json.dumps(moment))["total"] == 20 for moment in moments)
    assert moments[-1]["percent"] == 100.0


def test_what_was_ordered_before_is_a_duplicate_though_the_provider_would_charge_it(open_shop):
    shop, imeis = open_shop(repeats="charge"), make_imeis(20)
    processor = BatchIMEIProcessor()
    processor.process_batch(imeis[:15], SERVICE)
    result = processor.process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert (result["successful"], result["duplicates"]) == (5, 15)


def test_what_may_have_been_placed_before_is_not_ordered_again(open_shop):
    shop, imeis = open_shop(faults="reset:after@#1", repeats="charge", credit="0.08"), make_imeis(2)
    processor = BatchIMEIProcessor(chunk_size=1)
    first = processor.process_batch(imeis[:1], SERVICE)
    assert first["unconfirmed"] == 1
    shop.simulator.set_behaviour(credit="100")
    result = processor.process_batch(imeis, SERVICE)
    check_truth(result, imeis, shop.book())
    assert (result["successful"], result["unconfirmed_imeis"]) == (1, imeis[:1])


def test_another_service_is_another_order(open_shop):
    shop, imeis = open_shop(), make_imeis(2)
    assert [BatchIMEIProcessor().process_batch(imeis, service)["successful"] for service in ("1", "2")] == [2, 2]
    assert len(shop.book()) == 4


def test_an_imei_that_waits_in_another_job_is_not_ordered_a_second_time(open_shop):
    shop, imeis = open_shop(latency="0.2"), make_imeis(40)
    processor = BatchIMEIProcessor(max_workers=1, chunk_size=2)
    for _ in processor.process_with_progress(imeis, SERVICE):
        break
    with pytest.raises(WaitingElsewhereError, match=r"in job 1, which is paused: nothing was ordered"):
        processor.process_batch(imeis[-5:], SERVICE)
    assert not {entry.imei for entry in shop.book()} & set(imeis[-5:])


def test_two_processors_in_two_threads_share_the_account(open_shop):
    shop, imeis = open_shop(latency="0.1", repeats="charge"), make_imeis(200)
    halves = [imeis[:100], imeis[100:]]
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda half: BatchIMEIProcessor(4, 5).process_batch(half, SERVICE), halves))
    for half, result in zip(halves, results, strict=True):
        check_truth(result, half, shop.book())
        assert result["successful"] == 100


def test_the_same_list_in_two_threads_is_ordered_once(open_shop):
    shop, imeis = open_shop(latency="0.1", repeats="charge"), make_imeis(100)
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda _: BatchIMEIProcessor(4, 5).process_batch(imeis, SERVICE), range(2)))
    assert len(shop.book()) == 100
    for result in results:
        check_truth(result, imeis, shop.book())
        assert result["successful"] + result["duplicates"] == 100


def test_one_client_may_be_used_by_several_threads(open_shop):
    shop, imeis = open_shop(latency="0.05"), make_imeis(40)
    with Client() as client, ThreadPoolExecutor(4) as threads:
        reports = list(threads.map(lambda start: client.submit(imeis[start : start + 10], SERVICE), range(0, 40, 10)))
    assert [report.counts.accepted for report in reports] == [10] * 4
    assert sorted(entry.imei for entry in shop.book()) == sorted(imeis)


async def test_it_works_inside_a_running_event_loop(open_shop):
    shop, imeis = open_shop(), make_imeis(5)
    asyncio.get_running_loop()
    check_truth(BatchIMEIProcessor().process_batch(imeis, SERVICE), imeis, shop.book())


@pytest.mark.parametrize(("count", "seconds"), [(0, 0.0), (1, 3.5), (2, 7.0), (20_000, 21.0)])
def test_recommended_settings_are_ceilings_that_the_processor_takes(count, seconds):
    settings = get_recommended_settings(count)
    processor = BatchIMEIProcessor(
        max_workers=settings["max_workers"],
        chunk_size=settings["chunk_size"],
        rate_limit_delay=settings["rate_limit_delay"],
    )
    assert (processor.max_workers, processor.chunk_size) == (64, 100)
    assert settings["estimated_time"] == seconds
    assert settings["strategy"]


@pytest.mark.parametrize("count", [-1, 2.5, "9", True])
def test_a_number_of_imeis_that_is_none_is_refused(count):
    with pytest.raises(GSMFusionAPIError, match="a number of IMEIs is expected"):
        get_recommended_settings(count)
