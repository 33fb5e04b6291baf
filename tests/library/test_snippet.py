"""Programs as people write them from the script's own page, run unchanged with nothing but the environment set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.library.shop import make_imeis

SNIPPETS = Path(__file__).parent / "snippet"
LISTED = make_imeis(120)


@pytest.fixture
def run(open_shop):
    """Open a shop, lay the list beside the program, run it, and give the shop and the lines that it printed."""

    def run_(name, listed=LISTED, **behaviour):
        shop = open_shop(**behaviour)
        (shop.home / "imeis.txt").write_text("\n".join(listed) + "\n")
        return shop, shop.run(SNIPPETS / f"{name}.py").splitlines()

    return run_


def placed(shop, service="1"):
    return sorted(entry.imei for entry in shop.book() if entry.service == service)


def test_every_snippet_is_run_here():
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(f'run("{path.stem}"' in source for path in SNIPPETS.glob("*.py"))


def test_a_client_with_a_context_manager(run):
    shop, (services, order, status) = run("client")
    (entry,) = shop.book()
    assert services.endswith("services, for example Apple Basic Info: $0.08")
    assert order == f"Order {entry.reference} for {entry.imei}: Pending"
    assert status == f"{entry.imei}: Pending (Apple Basic Info)"


def test_several_imeis_in_a_call(run):
    shop, said = run("several", chunk_limit=1, chunk_cut="last")
    assert said == ["Successful: 3", "Errors: 0", "Duplicates: 0"]
    assert len(shop.book()) == 3


def test_a_batch_with_progress(run):
    shop, said = run("batch", chunk_limit=1, latency="0.1")
    assert said[-5].startswith("Progress: 120/120 (100.0%) - Success: 120, Errors: 0")
    assert said[-4].startswith("Processed 120 IMEIs in ")
    assert said[-4].endswith("120 successful, 0 duplicates, 0 errors")
    assert placed(shop) == LISTED


def test_a_batch_that_the_account_stops_names_every_imei_that_was_not_ordered(run):
    listed = make_imeis(400)  # more than five calls carry
    shop, said = run("batch", listed, lockout="inactive", lockout_from=6)
    errors = [line for line in said if "This user is not active" in line]
    assert errors
    assert len(errors) + len(shop.book()) == len(listed)
    assert f" {len(errors)} errors" in "".join(said)
    assert not {line.split()[0] for line in errors} & {entry.imei for entry in shop.book()}


def test_a_generator_for_a_browser(run):
    shop, said = run("generator", latency="0.1")
    moments = [json.loads(line.removeprefix("data: ")) for line in said if line]
    assert (moments[-1]["successful"], moments[-1]["done"]) == (120, True)
    assert placed(shop) == LISTED


def test_recommended_settings(run):
    shop, said = run("recommended")
    assert said[-1] == "120 of 120 ordered"
    assert said[:2] == ["Workers: 64", "Chunk size: 100"]
    assert placed(shop) == LISTED


def test_error_handling(run):
    shop, (refused, errors, unknown) = run("error")
    assert refused.startswith("API error: ")
    assert "Invalid User!" in refused
    assert "The last digit does not fit the others" in errors
    assert unknown.endswith("the provider does not know it")
    assert shop.book() == []


def test_waiting_for_a_result(run):
    shop, (order, result) = run("wait", pending_for="0", process_for="0", result_layout="sentence")
    assert order == f"Order ID: {shop.book()[0].reference}"
    assert len(result) > len("Result: ")


def test_a_client_for_each_imei_in_ten_threads(run):
    shop, said = run("threads", listed=LISTED[:40], repeats="charge")
    assert said == ["40 successful", "0 errors"]
    assert placed(shop) == LISTED[:40]


def test_the_clients_of_today(run):
    shop, said = run("modern")
    assert said[0] == "120 of 120 accepted, 0 unconfirmed"
    assert said[-1] == "120 accepted for 12.00"
    assert (placed(shop, "1"), placed(shop, "2")) == (LISTED, LISTED)
