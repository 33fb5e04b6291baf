"""Settling doubt as it is typed: the evidence first, the user's word asked for, then done and on record."""

from __future__ import annotations

import json

import pytest

from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Ending
from imeiflow.ledger.record import NewOrder
from tests.cli.typed import make_environment, run_typed
from tests.operations.stand import add_job, answer, finish, make_imei, open_session


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Make a ledger with job 1, in which the orders of lines 3, 4 and 5 are unconfirmed."""
    with open_session(tmp_path / "home") as session:
        job = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in range(2, 6)])
        in_doubt = dict.fromkeys((3, 4, 5), OrderState.UNCONFIRMED)
        answer(session, job, {2: OrderState.ACCEPTED, **in_doubt}, Ending.IN_DOUBT)
        finish(session, job)
    return make_environment(tmp_path / "home")


@pytest.fixture
def states(tmp_path):
    """Read the states of job 1, by IMEI."""

    def read() -> dict[str, str]:
        with open_session(tmp_path / "home") as session:
            return {row.imei: row.state.value for row in session.ledger.order_rows(1)}

    return read


def test_without_an_option_it_shows_what_is_unconfirmed_and_why(environment):
    done = run_typed(("settle", "1"), environment)
    assert done.returncode == 4
    assert "3 orders of job 1 may or may not have been placed." in done.stdout
    assert "3 of 4  HTTP 200: not named in the reply" in done.stdout
    assert all(make_imei(number) in done.stdout for number in (3, 4, 5))
    assert "imeiflow settle 1 --not-placed" in done.stderr


def test_its_json_lists_each_order_with_its_evidence(environment):
    done = run_typed(("settle", "1", "--json"), environment)
    told = json.loads(done.stdout)
    assert done.returncode == 4
    assert [one["imei"] for one in told] == [make_imei(number) for number in (3, 4, 5)]
    assert {(one["ending"], one["http_status"], one["size"]) for one in told} == {("in_doubt", 200, 4)}


def test_one_is_placed_under_the_reference_that_was_seen_and_the_rest_stays_in_doubt(environment, states):
    done = run_typed(("settle", "1", "--imei", make_imei(3), "--placed", "4711", "--yes"), environment)
    assert done.returncode == 4
    assert "1 order of job 1 will be marked as placed with reference 4711, and $0.08 counted as spent." in done.stderr
    assert states()[make_imei(3)] == "accepted"
    assert states()[make_imei(4)] == "unconfirmed"


def test_all_are_not_placed_and_wait_with_their_cost_said_first(environment, states):
    done = run_typed(("settle", "1", "--not-placed", "--all", "--yes", "--note", "not on the site"), environment)
    assert done.returncode == 0
    assert "ordered again, for $0.24" in done.stderr
    assert "paid for twice" in done.stderr
    assert "`imeiflow resume 1`" in done.stderr
    assert list(states().values()).count("queued") == 3


def test_imeis_come_from_standard_input_too(environment):
    imeis = f"{make_imei(3)}\n{make_imei(4)[:14]}\n"
    done = run_typed(("settle", "1", "--placed", "--imei", "-", "--yes", "--json"), environment, imeis)
    assert json.loads(done.stdout)["accepted"] == 3
    assert json.loads(done.stdout)["unconfirmed"] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--placed",), "--imei for some of them, or --all"),
        (("--all",), "say what became of them"),
        (("--placed", "--not-placed", "--all"), "contradict each other"),
        (("--placed", "--all", "--imei", make_imei(3)), "--imei for some of them, or --all"),
        (("--placed", "4711", "--all", "--yes"), "a reference belongs to one order"),
        (("--placed", "R2", "--imei", make_imei(3), "--yes"), "imeiflow: Reference R2 is that of line 2 of job 1."),
        (("--not-placed", "--imei", "12", "--yes"), "no IMEI: 12"),
        (("--not-placed", "--imei", make_imei(2), "--yes"), "not unconfirmed in job 1"),
        (("--not-placed", "--all"), "has to be confirmed"),
    ],
)
def test_what_cannot_be_meant_changes_nothing_and_says_so(environment, states, arguments, says):
    done = run_typed(("settle", "1", *arguments), environment)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert list(states().values()).count("unconfirmed") == 3


def test_a_job_without_doubt_has_nothing_to_settle(environment):
    run_typed(("settle", "1", "--placed", "--all", "--yes"), environment)
    listed, settled = (run_typed(("settle", "1", *more), environment) for more in ((), ("--placed", "--all", "--yes")))
    assert (listed.returncode, settled.returncode) == (0, 0)
    assert "Nothing of job 1 is unconfirmed." in listed.stderr
    assert "Nothing of job 1 is unconfirmed." in settled.stderr


def write_export(tmp_path, *numbers: int) -> str:
    rows = "".join(f"{make_imei(number)}\tPending\n" for number in numbers)
    path = tmp_path / "export.txt"
    path.write_text(f"IMEI NO.\tSTATUS\n{rows}", encoding="utf-8")
    return str(path)


def test_an_export_is_shown_first_and_changes_nothing_when_tried(environment, states, tmp_path):
    done = run_typed(("settle", "1", "--from-export", write_export(tmp_path, 2, 3, 4), "--dry-run"), environment)
    assert done.returncode == 4
    assert "2 named by it: placed, $0.16 counted as spent" in done.stdout
    assert "1 not in the export" in done.stdout
    assert "told by IMEI and service alone" in done.stdout
    assert "Nothing was changed." in done.stderr
    assert list(states().values()).count("unconfirmed") == 3


def test_an_export_settles_what_it_names_when_confirmed(environment, states, tmp_path):
    export = write_export(tmp_path, 2, 3, 4)
    asked = run_typed(("settle", "1", "--from-export", export), environment)
    assert asked.returncode == 2
    assert "settling by the export has to be confirmed" in asked.stderr
    done = run_typed(("settle", "1", "--from-export", export, "--yes"), environment)
    assert done.returncode == 4
    assert "2 orders marked as placed." in done.stderr
    assert list(states().values()).count("unconfirmed") == 1


def test_the_json_of_an_export_has_every_order_with_its_reason(environment, tmp_path):
    export = write_export(tmp_path, 2, 3, 77)
    done = run_typed(("settle", "1", "--from-export", export, "--dry-run", "--json"), environment)
    told = json.loads(done.stdout)
    assert (told["placed"], told["not_named"], told["unknown"]) == (1, 2, 1)
    assert [one["imei"] for one in told["unknown_orders"]] == [make_imei(77)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--from-export", "no.csv", "--placed"), "says itself which"),
        (("--complete",), "are about --from-export"),
        (("--from-export", "no.csv"), "there is no such file"),
        (("--from-export", "no.csv", "--timezone", "Mars"), "'Mars' is no time zone"),
    ],
)
def test_an_export_that_cannot_be_used_says_why(environment, arguments, says):
    done = run_typed(("settle", "1", *arguments), environment)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
