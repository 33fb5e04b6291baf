"""What a person sees: the question, the picture of the progress, the report, at widths that people have."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.cli.screen import CONTROL, open_screen
from tests.cli.shop import Shop, make_imei, open_shop

SLOWLY = ("--service", "1", "--max-concurrency", "2", "--chunk-size", "10")


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory):
    with open_shop(tmp_path_factory.mktemp("shop"), latency="0.3") as opened:
        yield opened


@pytest.fixture
def shop(provider: Shop, tmp_path: Path):
    """Open a shop with a home of its own at the one provider."""
    return Shop(tmp_path, provider.simulator, provider.wiretap)


@pytest.mark.parametrize("answer", ["n\n", "\n", "perhaps\nn\n"])
def test_anything_but_yes_orders_nothing(shop: Shop, answer):
    placed = len(shop.simulator.book())
    with open_screen("submit", shop.write_list(5), *SLOWLY, environment=shop.environment) as screen:
        screen.wait_for(r"5 IMEIs × \$0\.08 = \$0\.40[^?]*\?\s+It\s+cannot\s+be\s+undone\.\s+\[y/N\]")
        screen.press(answer)
        assert screen.finish() == 0
        assert "Nothing was ordered." in screen.text
    assert len(shop.simulator.book()) == placed


def test_ctrl_c_at_the_question_orders_nothing_and_has_no_trace(shop: Shop):
    placed = len(shop.simulator.book())
    with open_screen("submit", shop.write_list(5), *SLOWLY, environment=shop.environment) as screen:
        screen.wait_for(r"\[y/N\]")
        screen.press_until("\x03", "Interrupted")
        assert screen.finish() == 130
        assert "Traceback" not in screen.text
    assert len(shop.simulator.book()) == placed
    assert shop.type("jobs", "--json").stdout.split() == ["[", "]"]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_picture_shows_counts_speed_reasons_and_cost_and_no_line_is_too_long(shop: Shop, columns):
    list_ = shop.write_list(400, start=1000 * columns)
    with open_screen("submit", list_, *SLOWLY, environment=shop.environment, columns=columns) as screen:
        screen.wait_for(r"\[y/N\]")
        screen.press("y\n")
        screen.wait_for(r"accepted · [^=]*= 400\s+rows")
        screen.wait_for(r"\d+%  .* left")
        for label in ("speed", "a call  10 orders  set by you", "at once", "pace", r"spent   \$\d"):
            screen.wait_for(label)
        screen.press("\x03")
        screen.wait_for("pausing: ")
        assert screen.finish() == 130
        assert "will still" in screen.text
        assert "imeiflow resume 1" in screen.text
        assert "Traceback" not in screen.text
        lines = re.split(r"[\r\n]+", CONTROL.sub("", screen.raw).replace("\x03", ""))
        assert [line for line in lines if len(line) > columns] == []


def test_a_terminal_that_wants_no_colour_gets_none(shop: Shop):
    list_ = shop.write_list(100, start=20_000)
    environment = {**shop.environment, "NO_COLOR": "yes"}
    with open_screen("submit", list_, *SLOWLY, "--yes", environment=environment) as screen:
        assert screen.finish() == 0
        assert "Job 1 is finished" in screen.text
        assert re.search(r"\x1b\[[0-9;]*3[0-9]m", screen.raw) is None


def test_a_list_through_standard_input_is_confirmed_at_the_terminal_itself(shop: Shop, tmp_path: Path):
    path = tmp_path / "list.txt"
    path.write_text("\n".join(make_imei(number) for number in range(30_000, 30_005)), encoding="utf-8")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with open_screen("submit", "-", *SLOWLY, environment=shop.environment, stdin=descriptor) as screen:
            screen.wait_for(r"\[y/N\]")
            screen.press("yes\n")
            assert screen.finish() == 0
            assert re.search(r"5 accepted", screen.text)
    finally:
        os.close(descriptor)


def test_a_job_is_cancelled_only_when_the_question_is_answered(shop: Shop):
    list_ = shop.write_list(300, start=40_000)
    with open_screen("submit", list_, *SLOWLY, "--yes", environment=shop.environment) as screen:
        screen.wait_for("accepted")
        screen.press("\x03")
        screen.finish()
    with open_screen("cancel", "1", environment=shop.environment) as screen:
        screen.wait_for(r"Cancel \d+ orders of job 1 that have not been sent\? \[y/N\]")
        screen.press("n\n")
        assert screen.finish() == 0
        assert "Nothing was changed." in screen.text
    with open_screen("cancel", "1", environment=shop.environment) as screen:
        screen.wait_for(r"\[y/N\]")
        screen.press("y\n")
        assert screen.finish() == 0
        assert "Job 1 is cancelled" in screen.text


def test_a_list_that_is_pasted_ends_with_one_ctrl_d(shop: Shop):
    listed = make_imei(77)
    commands = {"in no job of this ledger": ("orders", "--imei-file", "-"), r"\[y/N\]": ("submit", "-", *SLOWLY)}
    for told, arguments in commands.items():
        with open_screen(*arguments, environment=shop.environment, columns=120) as screen:
            screen.wait_for("Ctrl-D ends the list")
            screen.press(f"{listed}\n")
            screen.press("\x04")
            screen.wait_for(told)


@pytest.mark.parametrize(("answer", "doubts", "status"), [("y\n", 0, 0), ("n\n", 1, 4)])
def test_a_dear_repeat_probe_is_asked_about_where_somebody_looks_on(tmp_path: Path, answer, doubts, status):
    with open_shop(tmp_path, faults="reset:after@#2", pending_for="0", process_for="0") as shop:
        arguments = ("submit", shop.write_list(4), "--service", "5", "--chunk-size", "1", "--max-concurrency", "1")
        with open_screen(*arguments, environment=shop.environment) as screen:
            screen.wait_for(r"It\s+cannot\s+be\s+undone\.\s+\[y/N\]")
            screen.press("y\n")
            screen.wait_for(r"Repeat\s+one\s+accepted\s+order,\s+which\s+may\s+cost\s+\$1\.45[^?]*\?[^?]*\[y/N\]")
            screen.press(answer)
            assert screen.finish() == status
        assert json.loads(shop.type("show", "1", "--json").stdout)["unconfirmed"] == doubts
        shop.judge()
