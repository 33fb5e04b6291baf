"""Finding orders as it is typed: tables that fit, JSON, IMEIs from anywhere, and what was not found said so."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.ledger.change import StatusUpdate
from imeiflow.ledger.record import NewOrder
from tests.cli.typed import COMMAND, PATIENCE_S, make_environment, run_typed
from tests.operations.stand import ACCOUNT, add_job, answer, make_imei, open_session


@pytest.fixture
def environment(tmp_path):
    """Make a ledger with job 1 of 60 orders, lines 2 to 61."""
    with open_session(tmp_path / "home") as session:
        job = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in range(2, 62)])
        answer(session, job, {2: OrderState.ACCEPTED, 3: OrderState.REFUSED, 4: OrderState.UNCONFIRMED})
    return make_environment(tmp_path / "home")


@pytest.fixture
def typed(environment):
    def run(*arguments: str, text: str | None = None, width: int = 100) -> tuple[int, str, str]:
        done = run_typed(arguments, {**environment, "COLUMNS": str(width)}, text)
        return done.returncode, done.stdout, done.stderr

    return run


def test_the_newest_are_listed_and_that_there_are_more_is_said(typed):
    status, out, err = typed("orders")
    assert status == 0
    assert len(out.splitlines()) == 51
    assert make_imei(61) in out.splitlines()[1]
    assert "`--limit 0` lists all" in err
    assert len(typed("orders", "--limit", "0")[1].splitlines()) == 61


def test_several_states_can_be_asked_for_at_once(typed):
    _, out, err = typed("orders", "--state", "refused", "--state", "unconfirmed")
    assert [line.split()[0] for line in out.splitlines()[1:]] == [make_imei(4), make_imei(3)]
    assert "Invalid IMEI!" in out
    assert "There are more" not in err


def test_imeis_that_are_in_no_job_are_named_and_what_is_no_imei_is_left_out(typed):
    status, out, err = typed("orders", "--imei", f"{make_imei(2)},{make_imei(900)}", "--imei", "junk", "--json")
    assert status == 0
    assert [order["state"] for order in json.loads(out)] == ["accepted"]
    assert f"1 IMEI of 2 are in no job of this ledger: {make_imei(900)}" in err
    assert "'junk' is no IMEI: left out. It holds something other than the digits of an IMEI." in err


def test_a_pasted_list_is_read_from_standard_input(typed):
    text = "\n".join(make_imei(number) for number in range(2, 60))
    assert len(json.loads(typed("orders", "--imei", "-", "--json", text=text)[1])) == 58


def test_no_imei_at_all_is_wrong_usage(typed):
    assert typed("orders", "--imei", "junk")[0] == 2


def test_nothing_found_is_said_and_an_empty_list_in_json(typed):
    status, out, err = typed("orders", "--status", "completed")
    assert (status, out) == (0, "")
    assert "No order matches." in err
    assert json.loads(typed("orders", "--status", "completed", "--json")[1]) == []


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_no_line_is_wider_than_the_screen(typed, width):
    _, out, _ = typed("orders", "--limit", "0", width=width)
    assert max(map(len, out.splitlines())) <= width


def test_an_unknown_job_leaves_no_half_list_on_standard_output(typed):
    status, out, err = typed("orders", "--job", "99", "--json")
    assert (status, out) == (2, "")
    assert "There is no job 99" in err


def test_a_list_as_windows_saves_it_is_read_from_standard_input(environment):
    text = "\r\n".join(make_imei(number) for number in range(2, 12)).encode("utf-16")
    done = subprocess.run(
        [*COMMAND, "orders", "--imei", "-", "--json"],
        env=environment,
        input=text,
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert len(json.loads(done.stdout)) == 10


def test_a_list_that_is_cut_calls_missing_only_what_is_in_no_job(environment):
    asked = ",".join(make_imei(number) for number in (2, 3, 4, 900))
    done = run_typed(("orders", "--imei", asked, "--limit", "1"), environment)
    assert "There are more: " in done.stderr
    assert f"1 IMEI of 4 are in no job of this ledger: {make_imei(900)}" in done.stderr
    after = done.stderr.split("--after ")[1].split("`")[0]
    rest = run_typed(("orders", "--imei", asked, "--limit", "2", "--after", after), environment)
    assert make_imei(2) in rest.stdout
    assert "in no job" not in rest.stderr, "what stood before is not known here"


def test_a_timeline_tells_every_attempt_and_every_status_of_an_order(tmp_path):
    with open_session(tmp_path / "home") as session:
        job = add_job(session, [NewOrder(line=2, imei=make_imei(2))], service_name="Check")
        answer(session, job, {2: OrderState.ACCEPTED})
        (order,) = (row.id for row in session.ledger.order_rows(job))
        for status, text in ((ResultStatus.IN_PROCESS, None), (ResultStatus.COMPLETED, "SimLock: Unlocked")):
            session.ledger.update_statuses(ACCOUNT, [StatusUpdate(order=order, status=status, result=text)])
    environment = make_environment(tmp_path / "home")
    done = run_typed(("orders", "--imei", make_imei(2), "--timeline"), environment)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head == f"{make_imei(2)}  job 1, row 2: accepted, completed"
    assert [line.split("  ")[-1] for line in lines] == [
        "row 2 of job 1 (), service 1 Check",
        "attempt 1 (place, alone): accepted, reference R2, charged $0.08, HTTP 200, after 0.0 s",
        "in process",
        "completed: SimLock: Unlocked",
    ]
    (told,) = json.loads(run_typed(("orders", "--reference", "R2", "--timeline", "--json"), environment).stdout)
    assert [one["kind"] for one in told["timeline"]] == ["read", "attempt", "status", "status"]


def test_commands_that_only_list_are_there_sooner_for_they_import_nothing_that_sends(environment):
    code = (
        "import sys; from imeiflow.cli.program import program, run;"
        "said = [run(program, words.split()) for words in sys.argv[1:]];"
        "heavy = ('aiohttp', 'structlog', 'rich', 'xlsxwriter', 'imeiflow.dispatch.engine', 'imeiflow.jobs.runner');"
        "print(said, [m for m in heavy if m in sys.modules])"
    )
    commands = [
        "jobs",
        "show 1",
        "show 1 --json",
        "orders",
        "orders --timeline --json",
        "spending",
        "export 1 -o x.csv",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *commands],
        env=environment,
        cwd=environment["TMPDIR"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == f"{[0] * len(commands)} []"
