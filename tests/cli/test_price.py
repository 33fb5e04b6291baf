"""A price that moves, as it is typed: a job stops before it costs more, and goes on when that is accepted."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.screen import open_screen
from tests.cli.shop import Shop, finish, last_json, make_imei, open_shop


@pytest.fixture
def shop(tmp_path: Path):
    with open_shop(tmp_path) as opened:
        opened.home.mkdir(mode=0o700, exist_ok=True)
        (opened.home / "config.toml").write_text("[dispatch]\nprice_max_age_s = 0.001\n", encoding="utf-8")
        yield opened


def test_a_job_is_resumed_at_a_risen_price_only_by_accepting_it_and_ledger_and_book_agree(shop: Shop):
    status, summary = shop.submit(shop.write_list(10), "--max-spend", "0.32")
    assert "imeiflow resume 1 --max-spend AMOUNT  send the 6 that wait" in shop.type("show", "1").stdout
    assert (status, summary["accepted"], summary["queued"]) == (4, 4, 6)
    shop.simulator.set_behaviour(price_change="1=0.10@0")
    done = shop.type("resume", "1", "--max-spend", "5", "--json")
    assert done.returncode == 4
    assert "the price of service 1 rose from $0.08 to $0.10" in done.stderr
    assert "The 6 that wait would cost $0.60 instead of $0.48." in done.stderr
    assert "`imeiflow resume 1 --accept-price 0.10 --max-spend 5` goes on" in done.stderr
    done = shop.type("resume", "1", "--max-spend", "5", "--accept-price", "0.09", "--detach", "--json")
    assert "`imeiflow resume 1 --accept-price 0.10 --max-spend 5 --detach` goes on" in done.stderr
    assert shop.judge().charged == shop.judge().spent
    shown = json.loads(shop.type("show", "1", "--json").stdout)
    assert str(shown["max_spend"]) == "0.32", "what may not go on keeps its cap"
    done = shop.type("resume", "1", "--accept-price", "0.10", "--max-spend", "5", "--json")
    told = last_json(done.stdout)
    assert (done.returncode, told["accepted"], told["spent"]) == (0, 10, 0.92)
    assert str(shop.judge().charged) == "0.92"


def test_a_price_that_rises_while_orders_are_placed_is_said_with_what_may_have_been_charged(tmp_path: Path):
    with open_shop(tmp_path, latency="0.5") as shop:
        options = ("--service", "1", "--chunk-size", "1", "--max-concurrency", "1", "--max-spend", "0.50", "--yes")
        child = shop.start_placing("submit", shop.write_list(5), *options)
        shop.simulator.set_behaviour(latency="0.5", price_change="1=0.20@0")
        status, told, _ = finish(child)
        charged = sum(entry.price for entry in shop.simulator.book())
        assert (status, charged > Decimal("0.40")) == (0, True)
        assert "Spent: $0.40." in told
        [said] = [line for line in told.splitlines() if line.startswith("Up to $1.00 may have been charged: ")]
        assert "the price rose from $0.08 to $0.20 between " in said
        assert said.endswith("while 5 orders were placed. So the spending cap of $0.50 may have been passed.")
        assert "imeiflow settle 1 --from-export FILE --dry-run" in told
        assert said in shop.type("show", "1").stdout.splitlines()
        shown = json.loads(shop.type("show", "1", "--json").stdout)
        assert (shown["spent"], shown["in_doubt"], shown["price_rise"]["more"]) == (0.4, 0.6, 0.6)
        assert (shown["price_rise"]["before"], shown["price_rise"]["after"]) == (0.08, 0.2)
        assert charged <= Decimal("1.00")
        spending = json.loads(shop.type("spending", "--json").stdout)
        assert "0.6" in json.dumps(spending)


def test_a_retry_says_what_it_costs_today_and_goes_on_at_that_when_it_is_confirmed(shop: Shop):
    shop.simulator.set_behaviour(bad_imeis=(make_imei(0), make_imei(1)))
    _, summary = shop.submit(shop.write_list(5))
    assert summary["refused"] == 2
    shop.simulator.set_behaviour(price_change="1=0.10@0", bad_imeis=())
    with open_screen("retry", "1", environment=shop.environment, columns=200) as screen:
        screen.wait_for(r"at most \$0\.20 \(the price of service 1 rose from \$0\.08 to \$0\.10\)")
        screen.press("y\n")
        assert screen.finish() == 0
    assert str(shop.judge().charged) == str(shop.judge().spent) == "0.44"


def test_what_may_not_go_on_is_not_queued_again_either(shop: Shop):
    shop.simulator.set_behaviour(bad_imeis=(make_imei(0), make_imei(1)))
    shop.submit(shop.write_list(5))
    shop.simulator.set_behaviour(price_change="1=0.10@0", bad_imeis=())
    done = shop.type("retry", "1", "--yes", "--json")
    assert done.returncode == 4
    assert "the price of service 1 rose from $0.08 to $0.10" in done.stderr
    assert "Nothing was sent. `imeiflow retry 1` shows what it costs today, and asks." in done.stderr
    shown = json.loads(shop.type("jobs", "--json").stdout)
    assert (shown[0]["state"], shown[0]["refused"], shown[0]["queued"]) == ("finished", 2, 0)
    assert str(shop.judge().charged) == "0.24"


def test_what_is_not_accepted_is_not_ordered(shop: Shop):
    done = shop.type("submit", shop.write_list(3), "--service", "1", "--yes", "--accept-price", "0.07")
    assert done.returncode == 1
    assert "costs $0.08, more than the $0.07 that you accept" in done.stderr
    assert len(shop.simulator.book()) == 0
