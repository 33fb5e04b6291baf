"""The script's client: its calls, its shapes and its errors, without its lies."""

from __future__ import annotations

import pytest

from imeiflow import GSMFusionAPIError, GSMFusionClient, IMEIOrder, OrderStatus, ServiceInfo
from imeiflow.library.error import ClosedError, ExtraFieldsError, NotCompletedError
from tests.library.shop import SERVICE, make_imeis


def test_one_imei_is_placed_and_has_the_providers_id(open_shop):
    shop, (imei,) = open_shop(), make_imeis(1)
    with GSMFusionClient() as client:
        placed = client.place_imei_order(imei=imei, network_id=SERVICE)
    assert placed["orders"] == [{"id": shop.book()[0].reference, "imei": imei, "status": "Pending"}]
    assert (placed["duplicates"], placed["errors"], placed["unconfirmed"]) == ([], [], [])


def test_several_imeis_are_all_accounted_for(open_shop):
    shop, (one, two, bad) = open_shop(), make_imeis(3)
    shop.simulator.set_behaviour(bad_imeis=[bad])
    with GSMFusionClient() as client:
        placed = client.place_imei_order(imei=[one, two, one, "12345", bad], network_id=SERVICE)
    assert [order["imei"] for order in placed["orders"]] == [one, two]
    assert placed["duplicates"] == [one]
    assert [error.split(":")[0] for error in placed["errors"]] == ["12345", bad]
    assert "Invalid IMEI" in placed["errors"][1]


def test_an_order_that_may_have_been_placed_is_an_error_for_those_who_know_no_third_way(open_shop):
    shop, (imei,) = open_shop(faults="close:after@#1", repeats="charge"), make_imeis(1)
    with GSMFusionClient() as client:
        for _ in range(2):
            placed = client.place_imei_order(imei, SERVICE)
            assert (placed["orders"], placed["duplicates"], placed["unconfirmed"]) == ([], [], [imei])
            assert placed["errors"][0].startswith(f"{imei}: unconfirmed: it may have been placed")
    assert len(shop.book()) == 1


def test_an_imei_ordered_before_is_a_duplicate_and_force_recheck_has_the_provider_decide(open_shop):
    shop, (imei,) = open_shop(repeats="charge"), make_imeis(1)
    with GSMFusionClient() as client:
        client.place_imei_order(imei, SERVICE)
        assert client.place_imei_order(imei, SERVICE)["duplicates"] == [imei]
        assert len(shop.book()) == 1
        assert client.place_imei_order(imei, SERVICE, force_recheck=True)["orders"]
    assert len(shop.book()) == 2


def test_a_rejected_order_may_be_ordered_again(open_shop):
    shop, (imei,) = open_shop(rejected_share=1, pending_for="0", process_for="0", repeats="charge"), make_imeis(1)
    with GSMFusionClient() as client:
        reference = client.place_imei_order(imei, SERVICE)["orders"][0]["id"]
        client.get_imei_orders(reference)
        assert client.place_imei_order(imei, SERVICE)["orders"]
    assert len(shop.book()) == 2


def test_fields_of_a_services_own_are_refused_before_anything_is_sent(open_shop):
    shop = open_shop()
    with GSMFusionClient() as client, pytest.raises(ExtraFieldsError, match="modelNo"):
        client.place_imei_order(make_imeis(1), SERVICE, modelNo="A2631", mep=None, pin="")
    assert shop.simulator.stats()["received"] == 0


def test_services_have_the_scripts_attributes(open_shop):
    open_shop()
    with GSMFusionClient() as client:
        services = client.get_imei_services()
    assert services[0] == ServiceInfo("1", "IMEI Check Services", "Apple Basic Info", "0.08", "Instant", "")


def test_a_price_list_that_cannot_be_had_is_an_error_and_not_an_old_one(open_shop):
    shop = open_shop()
    with GSMFusionClient() as client:
        client.get_imei_services()
        shop.simulator.set_behaviour(lockout="maintenance")
        with pytest.raises(GSMFusionAPIError, match="maintenance"):
            client.get_imei_services()


def test_orders_are_found_by_id_in_any_shape_and_unknown_ones_are_left_out(open_shop):
    open_shop(pending_for="0", process_for="0", result_layout="br")
    with GSMFusionClient() as client:
        first, second = (order["id"] for order in client.place_imei_order(make_imeis(2), SERVICE)["orders"])
        order = client.get_imei_orders(first)[0]
        assert isinstance(order, IMEIOrder)
        assert (order.id, order.imei, order.package, order.status) == (
            first,
            make_imeis(1)[0],
            "Apple Basic Info",
            "Completed",
        )
        assert "<br>" in order.code
        assert [found.id for found in client.get_imei_orders(f"{second}, {first}")] == [second, first]
        assert [found.id for found in client.get_imei_orders([int(first), "99999999", second])] == [first, second]
        assert client.get_imei_orders("99999999") == []
        assert client.get_imei_orders("") == []


@pytest.mark.parametrize("options", [{"status_limit": 3}, {"status_limit": 3, "status_limit_error": True}])
def test_orders_that_a_call_leaves_out_are_asked_for_again(open_shop, options):
    open_shop(**options)
    with GSMFusionClient() as client:
        ids = [order["id"] for order in client.place_imei_order(make_imeis(20), SERVICE)["orders"]]
        assert [order.id for order in client.get_imei_orders(ids)] == ids


def test_a_provider_that_turns_the_login_away_is_asked_once(open_shop):
    shop = open_shop(lockout="user")
    with GSMFusionClient() as client, pytest.raises(GSMFusionAPIError, match="Invalid User!"):
        client.get_imei_orders([str(number) for number in range(100)])
    assert shop.simulator.stats()["received"] == 1


def test_waiting_for_an_order_asks_until_it_is_completed(open_shop):
    shop, slept = open_shop(pending_for="9999"), []

    def sleep(seconds):
        slept.append(seconds)

    with GSMFusionClient() as client:
        order = client.place_imei_order(make_imeis(1), SERVICE)["orders"][0]["id"]
        times = iter([0, 1, 31, 61])
        with pytest.raises(NotCompletedError, match="not completed after 90 s"):
            client.wait_for_order_completion(order, 30, 90, clock=lambda: next(times), sleep=sleep)
        assert slept == [30, 30]
        assert shop.simulator.stats()["actions"]["getimeis"] == 3
        shop.simulator.set_behaviour(pending_for="0", process_for="0")
        order = client.place_imei_order(make_imeis(1, first=9), SERVICE)["orders"][0]["id"]
        assert client.wait_for_order_completion(order, sleep=sleep).status == "Completed"


def test_waiting_ends_when_an_order_is_rejected_or_not_known(open_shop):
    open_shop(rejected_share=1, pending_for="0", process_for="0")
    with GSMFusionClient() as client:
        order = client.place_imei_order(make_imeis(1), SERVICE)["orders"][0]["id"]
        with pytest.raises(NotCompletedError, match="it was rejected"):
            client.wait_for_order_completion(order)
        with pytest.raises(GSMFusionAPIError, match="does not know it"):
            client.wait_for_order_completion("99999999")


def test_closing_twice_does_no_harm_and_a_closed_client_says_so(open_shop):
    open_shop()
    client = GSMFusionClient()
    client.place_imei_order(make_imeis(1), SERVICE)
    client.close()
    client.close()
    with pytest.raises(ClosedError):
        client.place_imei_order(make_imeis(1), SERVICE)


def test_a_status_has_the_providers_number():
    assert {status.name: status.value for status in OrderStatus} == {
        "PENDING": 1,
        "COMPLETED": 2,
        "REJECTED": 3,
        "IN_PROCESS": 4,
    }
