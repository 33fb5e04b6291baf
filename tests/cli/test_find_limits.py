"""`find-limits` as it is typed: a table, numbers, a plot, a pin; and what it refuses before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.shop import open_shop


def test_a_table_a_plot_and_a_pin_come_of_reading_alone(tmp_path: Path):
    with open_shop(tmp_path, read_latency="0.05", capacity=2, capacity_queues=False, capacity_refusal="503") as shop:
        plot = tmp_path / "limits.html"
        done = shop.type("find-limits", "--rest", "0.1", "--calls", "10", "--plot", str(plot), "--pin", "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["recommended"]["concurrency"] <= 2
        assert told["pinned"] is True
        assert told["job"] is None
        assert [step["grade"] for step in told["steps"]].count("too much") == 1
        assert "1 at once" in done.stderr
        page = plot.read_text(encoding="utf-8")
        assert page.startswith("<!doctype html>")
        assert "It is pinned" in page
        assert "pinned by you" in shop.type("account").stdout
        assert shop.type("find-limits", "--unpin").returncode == 0
        assert "pinned by you" not in shop.type("account").stdout
        assert shop.simulator.stats()["orders"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--orders", "phones.csv"), "--max-spend"),
        (("--orders", "phones.csv", "--service", "1"), "--max-spend"),
        (("--plot", "limits.pdf"), ".html"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_sent(tmp_path: Path, arguments, said):
    with open_shop(tmp_path) as shop:
        done = shop.type("find-limits", *arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert shop.simulator.stats()["received"] == 0
