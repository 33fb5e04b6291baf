"""Services, account and probe against a simulated provider: what people read, and what programs do."""

from __future__ import annotations

import json

import pytest

from imeiflow.simulator import Behaviour
from tests.cli.typed import make_environment, run_typed
from tests.operations.stand import make_imei
from tests.simulator.warm import start_simulator

IMEIS = ",".join(make_imei(number) for number in (1, 2, 3))


@pytest.fixture
def simulator():
    with start_simulator(Behaviour()) as started:
        yield started


@pytest.fixture
def environment(tmp_path, simulator):
    return make_environment(tmp_path / "home", simulator.base_url)


def test_services_are_listed_with_price_and_delivery_and_searched_word_by_word(environment):
    done = run_typed(("services", "--search", "CARRIER apple"), environment)
    assert done.returncode == 0
    assert "Apple Carrier & SimLock Check" in done.stdout
    assert "0.10" in done.stdout
    assert len(done.stdout.splitlines()) == 2
    assert "1 of 236 services." in done.stderr


def test_services_as_json_have_exact_prices(environment):
    told = json.loads(run_typed(("services", "--json"), environment).stdout)
    assert len(told) == 236
    assert (told[0]["id"], told[0]["price"]) == ("1", 0.08)


def test_without_an_answer_the_last_price_list_is_shown_with_its_date(environment, simulator):
    run_typed(("services",), environment)
    simulator.stop()
    done = run_typed(("services", "--search", "basic"), environment)
    assert done.returncode == 0
    assert "Apple Basic Info" in done.stdout
    assert "Not fresh" in done.stderr


def test_no_price_list_at_all_is_an_error_without_traceback(tmp_path):
    done = run_typed(("services",), make_environment(tmp_path / "home"))
    assert done.returncode == 1
    assert "Nothing was ordered" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_account_is_shown_with_its_credit_and_never_with_its_key(environment):
    for more in ((), ("--json",)):
        done = run_typed(("account", *more), environment)
        assert done.returncode == 0
        assert "simulated-key" not in done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert (told["credit"], told["credit_currency"]) == (10_000_000.00, "USD")
    assert told["learned"] == []


def test_what_was_learned_is_shown_with_why(environment):
    run_typed(("submit", "-", "--service", "1", "--yes"), environment, IMEIS.replace(",", "\n"))
    done = run_typed(("account",), environment)
    assert "Learned about its limits" in done.stdout
    assert "no limit of pace found" in done.stdout
    assert "service 1 Apple Basic Info" in done.stdout
    learned = json.loads(run_typed(("account", "--json"), environment).stdout)["learned"]
    assert {one["service_name"] for one in learned if one["service"]} == {"Apple Basic Info"}
    more = "\n".join(make_imei(number) for number in range(900, 1100))
    for _ in range(2):
        run_typed(("submit", "-", "--service", "1", "--yes", "--again"), environment, more)
    again = json.loads(run_typed(("account", "--json"), environment).stdout)["learned"]
    whys = {one["kind"]: one["reason"] for one in again}
    assert "learned earlier" not in "".join(whys.values())
    assert whys["chunk_size"] == "the provider named all of a call of 100 orders"


def test_credit_that_is_not_told_hides_nothing_else(environment, simulator):
    simulator.set_behaviour(accountinfo=False)
    done = run_typed(("account",), environment)
    assert done.returncode == 0
    assert "not told: " in done.stdout
    assert simulator.base_url in done.stdout


@pytest.mark.parametrize(
    ("behaviour", "says", "counted"),
    [
        ({}, ("call: yes. All 3", "Repeats: refused, free of charge"), (3, 0)),
        ({"repeats": "charge"}, ("call: yes. All 3", "Repeats: CHARGED"), (4, 0)),
        (
            {"chunk_limit": 1, "chunk_cut": "last"},
            ("NO. Of 3 it named only 1.", "2 that it did not name had not been placed", "Repeats: refused"),
            (3, 0),
        ),
        (
            {"chunk_limit": 1, "cut_placed": True},
            ("NO. Of 3 it named only 1.", "2 that it did not name had been placed and charged", "Repeats: refused"),
            (3, 0),
        ),
        ({"chunk_limit": 1, "repeats": "charge"}, ("NO. Of 3", "CHARGED", "2 orders may or may not"), (2, 0)),
        ({"chunk_max": 1}, ("NO. It refused 3 at once: Maximum IMEI limit exceeded!",), (0, 4)),
        ({"faults": ["close:after@#1"]}, ("call: not known.", "3 orders may or may not"), (3, 4)),
    ],
)
def test_a_probe_says_what_the_server_does_and_orders_no_more_than_it_said(
    environment, simulator, behaviour, says, counted
):
    orders, status = counted
    simulator.set_behaviour(**behaviour)
    done = run_typed(("probe", "--service", "1", "--imei", IMEIS, "--yes"), environment)
    assert done.returncode == status, done.stderr
    assert "That costs $0.24, or $0.32 where repeats are charged." in done.stderr
    for text in says:
        assert text in done.stdout
    assert simulator.stats()["orders"] == orders


def test_a_probe_as_json_has_both_verdicts(environment):
    done = run_typed(("probe", "--service", "1", "-", "--yes", "--json"), environment, IMEIS.replace(",", "\n"))
    told = json.loads(done.stdout)
    assert (told["chunk"]["verdict"], told["repeat"]["verdict"]) == ("whole", "refused")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--imei", make_imei(1)), "2 to 10 valid IMEIs"),
        (("--imei", "356938030000006"), "35693803000000 would end in 5. Each of them is ordered"),
        ((), "in a FILE or with --imei"),
        (("--imei", IMEIS), "has to be confirmed"),
    ],
)
def test_a_probe_that_was_not_meant_orders_nothing(environment, simulator, arguments, says):
    done = run_typed(("probe", "--service", "1", *arguments), environment)
    assert done.returncode == 2
    assert says in done.stderr
    assert simulator.stats()["orders"] == 0


def test_imeis_that_were_ordered_before_make_no_probe(environment, simulator):
    run_typed(("submit", "-", "--service", "1", "--yes"), environment, make_imei(2))
    done = run_typed(("probe", "--service", "1", "--imei", IMEIS, "--yes"), environment)
    assert done.returncode == 2
    assert "ordered before under this service" in done.stderr
    assert simulator.stats()["orders"] == 1


def test_a_password_or_a_key_in_a_base_url_is_not_shown(tmp_path):
    for address, status in (
        ("https://shop:pass-1234@127.0.0.1:9/api?key=key-1234", 1),
        ("https://127.0.0.1:9/api?key=key-1234", 0),
    ):
        environment = make_environment(tmp_path / "home", address)
        for more in ((), ("--json",)):
            done = run_typed(("account", *more), environment)
            assert done.returncode == status
            assert ("https://127.0.0.1:9/api" in done.stdout) == (status == 0)
            assert "1234" not in done.stdout + done.stderr


def test_what_is_typed_and_is_no_imei_is_named_before_anything_is_asked(environment):
    done = run_typed(("probe", "--service", "1", "--imei", f"{make_imei(1)},123"), environment)
    assert done.returncode == 2
    assert "--imei: '123' cannot be read as an IMEI" in done.stderr
