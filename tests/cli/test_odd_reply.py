"""What a reply to a placing call names beside what was sent: recorded, shown wherever a job is looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.shop import Shop, make_imei, open_shop

FOREIGN = "352099990000000 as 99000001"
SENTENCE = "a reply named an IMEI that was not in the call; nothing was taken over"


@pytest.fixture
def shop(tmp_path: Path):
    with open_shop(tmp_path, placed_extra=1, chunk_limit=2) as opened:
        yield opened


def submit(shop: Shop) -> str:
    terms = ("--service", "1", "--yes", "--chunk-size", "3", "--unconfirmed", "hold")
    done = shop.type("submit", shop.write_list(3), *terms)
    assert done.returncode == 4, done.stderr
    return done.stdout


def test_an_order_that_nobody_asked_for_is_shown_and_counts_as_nothing(shop: Shop):
    assert "Replies named 1 thing that does not fit to what was sent: see `imeiflow show 1`." in submit(shop)
    shown = shop.type("show", "1").stdout
    assert f"  1 × {SENTENCE}" in shown
    assert f"unasked imei, {FOREIGN}" in shown
    told = json.loads(shop.type("show", "1", "--json").stdout)
    assert told["reply_anomaly_counts"] == {"unasked_imei": 1}
    (one,) = told["reply_anomalies"]
    assert (one["kind"], one["value"], one["sentence"]) == ("unasked_imei", FOREIGN, SENTENCE)
    assert (told["accepted"], told["unconfirmed"], told["spent"]) == (2, 1, 0.16)


@pytest.mark.parametrize(
    "command", [("settle", "1"), ("settle", "1", "--json"), ("orders", "--imei", str(make_imei(2)), "--timeline")]
)
def test_the_evidence_of_a_doubt_says_what_came_back_instead(shop: Shop, command: tuple[str, ...]):
    submit(shop)
    assert f"; it names {FOREIGN[:15]}" in " ".join(shop.type(*command).stdout.split())


def test_a_job_without_odd_replies_says_nothing_of_them(tmp_path: Path):
    with open_shop(tmp_path) as shop:
        shop.submit(shop.write_list(3))
        assert "Odd replies" not in shop.type("show", "1").stdout
        assert json.loads(shop.type("show", "1", "--json").stdout)["reply_anomalies"] == []
