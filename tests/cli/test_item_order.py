"""`imeiflow order-file` and `order-server`, typed as a shop would."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.screen import open_screen
from tests.cli.shop import Shop, add_up, last_json, open_shop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


def write(directory: Path, name: str, text: str) -> str:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_each_file_is_ordered_once_and_told_again_by_its_content(shop: Shop, tmp_path: Path):
    files = [write(tmp_path, f"{number}.ask", f"request {number}") for number in range(3)]
    done = shop.type("order-file", *files, "--service", "902", "--yes", "--json")
    summary = last_json(done.stdout)
    assert (done.returncode, summary["accepted"], add_up(summary)) == (0, 3, 3)
    assert "list      0.ask and 2 more" in shop.type("show", str(summary["job"])).stdout
    assert (summary["spent"], summary["currency"]) == (11.25, "USD")
    renamed = write(tmp_path, "renamed.ask", "request 1")
    fresh = write(tmp_path, "fresh.ask", "request 9")
    dry = json.loads(shop.type("order-file", renamed, fresh, "--service", "902", "--dry-run", "--json").stdout)
    assert (dry["total"], dry["to_order"], dry["cost"]) == (2, 1, 3.75)
    assert [past["job"] for past in dry["ordered_before"]] == [summary["job"]]
    again = shop.type("order-file", renamed, "--service", "902", "--yes")
    assert again.returncode == 2
    assert "--again" in again.stderr
    assert shop.type("order-file", renamed, "--service", "902", "--yes", "--again").returncode == 0
    assert len(shop.simulator.book()) == 4
    assert not shop.judge().problems


def test_a_table_orders_a_server_service_row_by_row_and_comes_back_with_what_became_of_it(shop: Shop, tmp_path: Path):
    table = write(tmp_path, "orders.csv", "email_951;quantity_951\na@example.com;2\n\nb@example.com;1\n")
    done = shop.type("order-server", "--from", table, "--service", "951", "--yes", "--json")
    job = str(last_json(done.stdout)["job"])
    assert done.returncode == 0
    assert "list      orders.csv" in shop.type("show", job).stdout
    assert {entry.imei for entry in shop.simulator.book()} == {
        "email_951=a@example.com, quantity_951=2",
        "email_951=b@example.com, quantity_951=1",
    }
    rows = list(csv.DictReader(shop.type("export", job, "-o", "-", "--format", "csv").stdout.splitlines()))
    assert [(row["row"], row["email_951"], row["quantity_951"], row["state"]) for row in rows] == [
        ("2", "a@example.com", "2", "accepted"),
        ("4", "b@example.com", "1", "accepted"),
    ]
    assert all(row["reference"] for row in rows)
    listed = json.loads(shop.type("orders", "--job", job, "--json").stdout)
    assert [(order["imei"], order["value"]) for order in listed] == [
        (None, "email_951=b@example.com, quantity_951=1"),
        (None, "email_951=a@example.com, quantity_951=2"),
    ]
    assert "email_951=b@example.com…" in shop.type("orders", "--job", job).stdout
    assert "email_951=b@example.com…" in shop.type("orders", "--job", job, "--timeline").stdout
    assert not shop.judge().problems


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["order-file", "missing.ask", "--service", "902"], "missing.ask cannot be ordered"),
        (["order-server", "--service", "951", "--from", "missing.csv"], "missing.csv: there is no such file"),
        (["order-server", "--service", "951"], "either --field"),
        (["order-server", "--service", "951", "--field", "email"], "'email' is not NAME=VALUE"),
        (["order-server", "--service", "951", "--field", "a_1=1", "--field", "a_1=2"], "a_1 is given twice"),
        (["order-server", "--service", "951", "--field", "apiKey=x"], "'apiKey' is set by imeiflow itself"),
        (["order-server", "--service", "12", "--field", "email_1=x"], "has no service 12"),
    ],
)
def test_what_cannot_be_ordered_is_said_and_nothing_is_sent(shop: Shop, arguments: list[str], words: str):
    done = shop.type(*arguments, "--yes")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not shop.simulator.book()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("email_1,email_1\na,b\n", "two columns are called 'email_1'"),
        ("email_1,quantity_1\na,1,surplus\n", "line 2"),
        ("email_1,quantity_1\n", "nothing below"),
        ("email_1,quantity_1\na,1\nb,2\na,1\n", "line 4 holds the same as line 2"),
    ],
)
def test_a_table_that_cannot_be_read_names_the_line(shop: Shop, tmp_path: Path, text: str, words: str):
    table = write(tmp_path, "orders.csv", text)
    done = shop.type("order-server", "--from", table, "--service", "951", "--yes")
    assert done.returncode in {1, 2}
    assert words in done.stderr
    assert not shop.simulator.book()


def test_one_whose_reply_was_lost_has_to_be_settled_before_it_is_ordered_again(tmp_path: Path):
    with open_shop(tmp_path, faults="reset:after@100%", fault_actions="all") as shop:
        file = write(tmp_path, "1.ask", "request")
        done = shop.type("order-file", file, "--service", "902", "--yes", "--json")
        assert done.returncode == 4
        assert last_json(done.stdout)["unconfirmed"] == 1
        again = shop.type("order-file", file, "--service", "902", "--yes", "--again")
        assert again.returncode == 2
        assert "settle" in again.stderr
        assert len(shop.simulator.book()) == 1
        assert not shop.judge().problems


def test_what_is_in_doubt_is_named_by_its_file_and_settled_by_its_row(tmp_path: Path):
    with open_shop(tmp_path, faults="reset:after@100%", fault_actions="placefileorder") as shop:
        files = [write(tmp_path, f"{number}.ask", f"request {number}") for number in range(3)]
        shop.type("order-file", *files, "--service", "902", "--yes")
        told = shop.type("settle", "1")
        assert told.returncode == 4
        assert [line.split()[:2] for line in told.stdout.splitlines()[-3:]] == [
            [f"{number}.ask", str(number + 1)] for number in range(3)
        ]
        assert "--not-placed --row N" in told.stderr
        assert "--from-export" not in told.stderr
        listed = json.loads(shop.type("settle", "1", "--json").stdout)
        assert [(one["imei"], one["value"], one["line"]) for one in listed] == [
            (None, f"{number}.ask", number + 1) for number in range(3)
        ]
        shown = shop.type("show", "1").stdout
        assert "  1.ask  20" in shown
        assert "None" not in shown
        by_name = shop.type("settle", "1", "--imei", "1.ask", "--placed", "--yes")
        assert by_name.returncode == 2
        assert "--row" in by_name.stderr
        for wrong in (["--row", "2", "--all"], ["--row", "4"], ["--row", "0"]):
            assert shop.type("settle", "1", *wrong, "--not-placed", "--yes").returncode == 2
        reference = shop.simulator.book()[1].reference
        done = shop.type("settle", "1", "--row", "2", "--placed", reference, "--yes")
        assert (done.returncode, done.stderr.count("2 unconfirmed")) == (4, 1)
        orders = json.loads(shop.type("orders", "--job", "1", "--json").stdout)
        assert [(one["value"], one["state"]) for one in orders] == [
            ("2.ask", "unconfirmed"),
            ("1.ask", "accepted"),
            ("0.ask", "unconfirmed"),
        ]


def test_a_price_that_rose_since_the_preview_is_shown_and_asked_about_anew(shop: Shop, tmp_path: Path):
    shop.home.mkdir(mode=0o700, exist_ok=True)
    (shop.home / "config.toml").write_text("[dispatch]\nprice_max_age_s = 0.001\n", encoding="utf-8")
    arguments = ["order-file", write(tmp_path, "1.ask", "request 1"), "--service", "902"]
    with open_screen(*arguments, environment=shop.environment, columns=200) as screen:
        screen.wait_for(r"Order 1 × \$3\.75 = \$3\.75 .*\?")
        shop.simulator.set_behaviour(price_change="902=4.00@0")
        screen.press("y\n")
        screen.wait_for(r"rose from \$3\.75 to \$4\.00, all of it \$4\.00 instead of \$3\.75")
        screen.wait_for(r"Order 1 × \$4\.00 = \$4\.00 .*\?")
        screen.press("y\n")
        assert screen.finish() == 0
    assert str(shop.judge().charged) == str(shop.judge().spent) == "4.00"
    more = write(tmp_path, "2.ask", "request 2")
    too_dear = shop.type("order-file", more, "--service", "902", "--yes", "--accept-price", "3.99")
    assert too_dear.returncode == 1
    assert "costs $4.00, more than the $3.99 that you accept" in too_dear.stderr
    assert shop.type("order-file", more, "--service", "902", "--yes", "--accept-price", "4").returncode == 0
    history = json.loads(shop.type("services", "--kind", "file", "--history", "902", "--json").stdout)
    assert [one["price"] for one in history] == [3.75, 4.0]
    assert json.loads(shop.type("services", "--history", "902", "--json").stdout) == []


def test_the_services_of_each_kind_are_listed(shop: Shop):
    listed = json.loads(shop.type("services", "--kind", "file", "--json").stdout)
    assert [one["id"] for one in listed] == ["901", "902"]
    assert "FRP" in shop.type("services", "--kind", "server").stdout
