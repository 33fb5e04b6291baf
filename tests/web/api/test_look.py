"""What a program can look at: orders, doubts, exports, services, accounts, spending, deliveries."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from imeiflow.domain.user import Role, Scope
from tests.operations.stand import make_imei
from tests.web.api.client import Program, check_problem, check_schema, enter
from tests.web.seed import add_much, seed
from tests.web.site import Site, open_site

JOBS = 9  #: alike: lines 2 to 4 accepted, 5 refused, 6 unconfirmed


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give a site with something of everything, that no test changes."""
    home = tmp_path_factory.mktemp("look") / "home"
    home.mkdir()
    seed(home, add_much)
    with open_site(home) as opened:
        yield opened


@pytest.fixture(scope="module")
def reader(seeded: Site) -> Program:
    """Give a program that may only read."""
    return enter(seeded, Scope.READ, role=Role.ADMIN)


def test_orders_are_found_page_by_page_each_once(reader):
    seen, cursor = [], None
    while True:
        page = reader.get("/orders", limit=7, **({} if cursor is None else {"cursor": cursor}))
        check_schema(page, "OrderPage")
        seen += [one["id"] for one in page["orders"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 5 * JOBS
    assert [one["job"] for one in reader.get("/orders", limit=3)["orders"]] == [JOBS] * 3


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"job": [7, 8]}, 10),
        ({"job": 7, "state": ["refused", "unconfirmed"]}, 2),
        ({"status": "completed"}, JOBS),
        ({"imei": f"{make_imei(2)},{make_imei(3)}", "job": 7}, 2),
        ({"imei": make_imei(2)[:14], "job": 7}, 1),
        ({"reference": ["R3", "R4"], "job": 7}, 2),
        ({"service": "1", "account": "gsm-fusion", "job": 7}, 5),
        ({"service": "2"}, 0),
        ({"account": "none"}, 0),
        ({"accepted_from": "2020-01-01T00:00:00Z", "accepted_before": "2021-01-01T00:00:00Z"}, 0),
        ({"completed_from": "2020-01-01T00:00:00+02:00", "job": 7}, 2),
    ],
)
def test_orders_are_chosen_by_what_is_said(reader, query, count):
    assert len(reader.get("/orders", limit=1000, **query)["orders"]) == count
    body = {name: [value] if name in {"imei", "status", "reference"} and isinstance(value, str) else value
            for name, value in query.items()}  # fmt: skip
    body |= {"job": [body["job"]]} if isinstance(body.get("job"), int) else {}
    found = reader.ask("POST", "/orders/search", {**body, "limit": 1000})
    assert len(found.value["orders"]) == count


def test_what_is_no_imei_is_said_and_finds_nothing_by_itself(reader):
    found = reader.get("/orders", imei=["nonsense", make_imei(2)], job=7)
    assert (len(found["orders"]), found["unreadable"]) == (1, ["nonsense"])
    found = reader.get("/orders", imei="nonsense")
    assert (found["orders"], found["unreadable"]) == ([], ["nonsense"])


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("cursor=7", 422, "invalid"),
        ("cursor=1-2%0a", 422, "invalid"),
        ("state=null", 422, "invalid"),
        ("limit=5&limit=6", 422, "invalid"),
        ("limit=0", 422, "invalid"),
        ("job=1e3", 422, "invalid"),
        ("accepted_from=1700000000", 422, "invalid"),
        ("accepted_from=2020-01-01T00:00:00", 422, "invalid"),
        ("accepted_from=2021-01-01T00:00:00Z&accepted_before=2020-01-01T00:00:00Z", 409, "contradiction"),
        ("job=777", 404, "unknown-job"),
        ("secret=1", 422, "invalid"),
    ],
)
def test_a_query_that_is_not_right_is_told_from_one_that_finds_nothing(reader, query, status, code):
    told = check_problem(reader.ask("GET", f"/orders?{query}"), status, code)
    assert told["detail"]


def test_numbers_may_be_written_as_json_schema_has_them(reader):
    assert len(reader.ask("POST", "/orders/search", b'{"job": [7.0], "limit": 2.0}', headers=JSON).value["orders"]) == 2
    check_problem(reader.ask("POST", "/orders/search", b'{"limit": 2.5}', headers=JSON), 422, "invalid")


JSON = {"content-type": "application/json"}


def test_an_order_is_shown_with_all_that_happened_to_it(reader):
    order = reader.get("/orders", job=7, state="unconfirmed")["orders"][0]
    shown = reader.get(f"/orders/{order['id']}")
    check_schema(shown, "ShownOrder")
    (attempt,) = shown["attempts"]
    assert (attempt["outcome"], attempt["http_status"]) == ("unconfirmed", 200)
    assert not {"token", "headers", "request", "body"} & set(attempt)
    assert [one["kind"] for one in shown["timeline"]][:2] == ["read", "attempt"]
    check_problem(reader.ask("GET", "/orders/777"), 404, "not-found")


def test_doubts_are_listed_with_their_evidence(reader):
    found = reader.get("/jobs/7/doubts")
    check_schema(found, "DoubtPage")
    (one,) = found["orders"]
    assert (one["imei"], one["message"], one["size"]) == (make_imei(6), "not named in the reply", 5)
    check_problem(reader.ask("GET", "/jobs/777/doubts"), 404, "unknown-job")


def test_lists_come_back_as_csv_json_lines_and_workbook(reader):
    answer = reader.ask("GET", "/export?job=7")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.raw.decode("utf-8-sig"))))
    assert [row["state"] for row in rows] == ["accepted"] * 3 + ["refused", "unconfirmed"]
    assert rows[0]["imei"] == make_imei(2)
    answer = reader.ask("GET", "/export?job=7&job=8&format=jsonl")
    assert answer.headers["content-type"] == "application/jsonl; charset=utf-8"
    lines = answer.raw.decode().splitlines()
    assert [json.loads(line)["job"] for line in lines] == [7] * 5 + [8] * 5
    workbook = reader.ask("GET", "/export?job=7&format=xlsx")
    assert "xl/workbook.xml" in zipfile.ZipFile(io.BytesIO(workbook.raw)).namelist()
    assert workbook.headers["content-disposition"] == 'attachment; filename="job-7-results.xlsx"'
    everything = reader.ask("GET", "/export").raw.decode().splitlines()
    assert len(everything) == 1 + 5 * JOBS


def test_an_export_has_the_rows_and_the_layout_that_are_asked_for(reader):
    assert reader.ask("GET", "/export?job=7&state=refused").raw.count(b"refused") == 1
    failed = reader.ask("GET", "/export?job=7&layout=failed").raw.decode()
    assert make_imei(6) not in failed  # it may have been placed
    assert make_imei(5) in failed
    tabbed = reader.ask("GET", "/export?job=7&layout=gsm-fusion")
    assert tabbed.headers["content-type"].startswith("text/tab-separated-values")
    check_problem(reader.ask("GET", "/export?layout=gsm-fusion&format=xlsx"), 409, "contradiction")
    check_problem(reader.ask("GET", "/export?layout=failed&format=jsonl"), 409, "contradiction")
    check_problem(reader.ask("GET", "/export?job=777"), 404, "unknown-job")


def test_services_are_listed_searched_and_asked_for_afresh(reader):
    known = reader.get("/services")
    check_schema(known, "ServiceList")
    assert (known["is_fresh"], len(known["services"])) == (False, 20)
    assert {one["id"] for one in reader.get("/services", search="SAMSUNG check 4")["services"]} == {"4", "14"}
    history = reader.get("/services/5/prices")
    check_schema(history, "PriceHistory")
    assert [one["price"] for one in history["prices"]] == [Decimal("0.40"), Decimal("0.45")]
    check_problem(reader.ask("GET", "/services/none/prices"), 404, "not-found")
    check_problem(reader.ask("GET", "/services/5/prices?kind=file"), 404, "not-found")
    check_problem(reader.ask("GET", "/services?account=none"), 404, "account")


def test_an_account_is_shown_without_its_key(reader, seeded):
    assert reader.get("/accounts") == {"accounts": [{"name": "gsm-fusion", "provider": "gsm-fusion"}]}
    answer = reader.ask("GET", "/accounts/gsm-fusion")
    check_schema(answer.value, "ShownAccount")
    assert seeded.sim.api_key.encode() not in answer.raw
    assert answer.value["credit"] > 0
    assert {one["kind"] for one in answer.value["learned"]} == {"lane", "chunk_size"}
    told = check_problem(reader.ask("GET", "/accounts/none"), 404, "not-found")
    assert told["exit_status"] == 1


@pytest.mark.parametrize("by", ["day", "service", "job", "account"])
def test_spending_adds_up_however_it_is_told_apart(reader, by):
    sums = reader.get("/spending", by=by)
    check_schema(sums, "Sums")
    assert sum(one["spent"] for one in sums["sums"]) == Decimal("0.24") * JOBS
    assert sum(one["refunded"] for one in sums["sums"]) == Decimal("0.08") * JOBS
    assert sum(one["in_doubt"] for one in sums["sums"]) == Decimal("0.08") * JOBS
    assert all(one[by] for one in sums["sums"])


def test_spending_is_of_the_days_that_are_asked_for(reader):
    assert reader.get("/spending", **{"from": "0001-01-01", "to": "2020-01-01"})["sums"] == []
    assert reader.get("/spending", **{"from": "2020-01-01", "to": "9999-12-31", "timezone": "Pacific/Kiritimati"})[
        "sums"
    ]
    check_problem(reader.ask("GET", "/spending?timezone=Mars"), 409, "usage")
    told = check_problem(reader.ask("GET", "/spending?from=2026-02-02&to=2026-02-01"), 409, "contradiction")
    assert told["errors"][0]["field"] == "to"
    check_problem(reader.ask("GET", "/spending?from=yesterday"), 422, "invalid")


def test_deliveries_are_for_administrators_and_show_no_address(reader, seeded):
    check_problem(reader.ask("GET", "/deliveries"), 403, "scope")
    chief = enter(seeded, Scope.ADMIN, user=seeded.session.ledger.list_users()[0])
    found = chief.get("/deliveries", limit=2)
    check_schema(found, "DeliveryPage")
    assert [one["id"] for one in found["deliveries"]] == [3, 2]
    assert [one["id"] for one in chief.get("/deliveries", limit=2, cursor=found["next"])["deliveries"]] == [1]
    shown = chief.get("/deliveries/3")
    check_schema(shown, "ShownDelivery")
    assert "http" not in json.dumps(shown, default=str)
    check_problem(chief.ask("GET", "/deliveries/77"), 404, "not-found")


def test_every_address_says_which_methods_it_has(reader):
    assert reader.ask("OPTIONS", "/drafts/x").headers["allow"] == "DELETE, GET, OPTIONS, PATCH"
    assert reader.ask("OPTIONS", "/jobs/7/retry").headers["allow"] == "GET, OPTIONS, POST"
    assert "POST" in reader.ask("DELETE", "/jobs/7/retry").headers["allow"]


def test_a_list_of_jobs_names_them(reader):
    page = reader.get("/jobs", state="paused", account="gsm-fusion", limit=4)
    check_schema(page, "JobPage")
    assert {one["name"] for one in page["jobs"]} == {"stock.csv"}
    assert len(page["jobs"]) == 4
    check_schema(reader.get("/jobs/7"), "ShownJob")


def test_a_token_says_what_it_may_do(reader):
    told = reader.get("/token")
    check_schema(told, "ShownToken")
    assert (told["user"], told["scopes"]) == ("mia", ["read"])


def test_paths_lead_nowhere_else(reader):
    for path in ("/jobs/%00", "/services/%2e%2e%2fjobs/prices", f"/jobs/{10**18}", "/accounts/%0a", "/drafts/../jobs"):
        assert reader.ask("GET", path).status == 404, path


def test_where_it_is_kept_is_in_no_answer(reader, seeded):
    home = str(Path(seeded.session.ledger.path).parent).encode()
    for path in ("/jobs/7", "/accounts/gsm-fusion", "/jobs/777", "/services", "/token"):
        assert home not in reader.ask("GET", path).raw
