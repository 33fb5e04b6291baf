"""The provider's export against the ledger: it settles what it names, once, and nothing that can be meant otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from imeiflow.domain.ident import ServiceId
from imeiflow.domain.item import FileItem
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Ending
from imeiflow.errors import GuardError, LedgerBusyError, UsageError
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.absence import Silence
from imeiflow.operations.claim import Obscurity
from imeiflow.operations.reconciliation import reconcile, settle_by_export, settle_missing, settle_wholly
from imeiflow.operations.reconciliation_view import tell_reconciliation
from imeiflow.operations.session import Session
from imeiflow.operations.statement import ExportColumnError, read_statement
from imeiflow.operations.time_zone import NEAR, ExportClock, name_time_zone
from tests.operations.stand import (
    SERVICE,
    add_item_job,
    add_job,
    answer,
    finish,
    hold_call,
    make_configuration,
    make_imei,
)

HEADER = "SERVICE\tIMEI NO.\tCREDITS\tSTATUS\tCODE\tIMEI 2\tCARRIER\tSIMLOCK\tMODEL\tFMI\tORDER DATE\tNOTES"
NAME = "Apple Carrier & SimLock Check"
INDIA = timezone(timedelta(hours=5, minutes=30))
START = datetime(2025, 11, 13, 22, 3, tzinfo=UTC)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session(tmp_path: Path, clock: Clock):
    opened = Session.open(make_configuration(tmp_path / "home"))
    opened.ledger.clock = clock.now
    with opened:
        yield opened


@pytest.fixture
def job(session: Session):
    """Make a job of lines 2 to 9: 2 to 5 are accepted, 6 to 8 unconfirmed, 9 refused."""
    return make_job(session)


def make_job(session: Session, numbers: range = range(2, 10)):
    made = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in numbers], service_name=NAME)
    answer(session, made, dict.fromkeys(range(2, 6), OrderState.ACCEPTED))
    answer(session, made, dict.fromkeys(range(6, 9), OrderState.UNCONFIRMED), Ending.IN_DOUBT)
    answer(session, made, {9: OrderState.REFUSED})
    finish(session, made)
    return made


def row(
    number: int,
    at: datetime = START + timedelta(seconds=20),
    *,
    service: str = NAME,
    price: str = "$0.08",
    status: str = "Pending",
    code: str = "",
) -> str:
    local = at.astimezone(INDIA)
    shown = f"{local:%Y-%m-%d} {local.hour}:{local:%M:%S}"
    return "\t".join([service, make_imei(number), price, status, code, "", "", "", "", "", shown, ""])


def write(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "export.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def states(session: Session, job: int) -> dict[int, OrderState]:
    return {one.line: one.state for one in session.ledger.order_rows(job)}


def test_it_settles_all_that_it_names_and_nothing_else(session, job, tmp_path):
    export = write(tmp_path, *(row(n) for n in (2, 3, 4, 5, 6, 8)))
    found = reconcile(session, job, export)
    assert found.clock.zones == (INDIA,)
    assert found.clock.pairs == 4
    assert set(states(session, job).values()) >= {OrderState.UNCONFIRMED}
    assert settle_by_export(session, found, note="export", actor="ann") == 2
    after = states(session, job)
    assert [after[n] for n in (6, 7, 8)] == [OrderState.ACCEPTED, OrderState.UNCONFIRMED, OrderState.ACCEPTED]
    assert str(session.ledger.spending(job)) == "$0.48"
    told = [event for event in session.ledger.events(job=job) if event.kind == "marked_placed"]
    assert {(event.data["note"], event.data["actor"]) for event in told} == {("export", "ann")}


def test_absence_proves_nothing_unless_the_export_is_said_to_be_complete_for_its_time(session, job, tmp_path):
    rows = [row(2, START - timedelta(hours=1)), row(6), row(3, START + timedelta(hours=1))]
    found = reconcile(session, job, write(tmp_path, *rows), zone=INDIA)
    settle_by_export(session, found, note="")
    assert states(session, job)[7] is OrderState.UNCONFIRMED
    assert settle_missing(session, found, note="complete") == 2
    assert [states(session, job)[n] for n in (7, 8)] == [OrderState.QUEUED] * 2


def test_what_was_sent_outside_of_the_time_of_the_export_is_never_missing_from_it(session, job, tmp_path):
    rows = [row(n, START - timedelta(hours=8 - n)) for n in (2, 3)]
    found = reconcile(session, job, write(tmp_path, *rows), zone=INDIA)
    assert tell_silence(found) == (0, {Silence.OUTSIDE: 3})


def lose(session: Session, clock: Clock, took: timedelta, number: int = 6):
    """Make a job of one order whose call began now and timed out after a while."""
    made = add_job(session, [NewOrder(line=number, imei=make_imei(number))], service_name=NAME)
    end = hold_call(session, made, OrderState.UNCONFIRMED, Ending.IN_DOUBT)
    clock.at += took
    end()
    finish(session, made)
    return made


def tell_silence(found) -> tuple[int, dict[Silence, int]]:
    return len(found.unnamed), dict(found.held)


def test_a_call_that_was_still_under_way_at_the_export_s_last_row_is_outside_of_its_time(session, clock, tmp_path):
    """The provider may have placed it after that row, while the call still waited for its reply."""
    made = lose(session, clock, timedelta(hours=2))
    rows = [row(2, START - timedelta(hours=1)), row(3, START + timedelta(hours=1))]
    assert tell_silence(reconcile(session, made, write(tmp_path, *rows), zone=INDIA)) == (0, {Silence.OUTSIDE: 1})
    rows = [row(2, START - timedelta(hours=1)), row(3, START + timedelta(hours=3))]
    assert tell_silence(reconcile(session, made, write(tmp_path, *rows), zone=INDIA)) == (1, {})


@pytest.mark.parametrize(("before", "after"), [(10, 60), (60, 10)])
def test_the_edges_of_an_export_whose_clock_nobody_knows_are_not_believed(
    session, clock, tmp_path, before: int, after: int
):
    made = lose(session, clock, timedelta(seconds=3))
    rows = [row(2, START - timedelta(minutes=before)), row(3, START + timedelta(minutes=after))]
    assert tell_silence(reconcile(session, made, write(tmp_path, *rows), zone=INDIA)) == (0, {Silence.OUTSIDE: 1})


def test_where_certain_orders_set_the_export_s_clock_its_edges_are_sharp(session, clock, job, tmp_path):
    """Its clock is 20 s ahead."""
    clock.at = START + timedelta(minutes=10)
    made = lose(session, clock, timedelta(seconds=3))
    rows = [row(n) for n in (2, 3, 4, 5)]
    export = write(tmp_path, *rows, row(77, START + timedelta(minutes=15)))
    assert tell_silence(reconcile(session, made, export)) == (1, {})
    export = write(tmp_path, *rows, row(77, START + timedelta(minutes=12)))
    assert tell_silence(reconcile(session, made, export)) == (0, {Silence.OUTSIDE: 1})


@pytest.mark.parametrize(
    ("zone", "days"),
    [
        (None, ("2025-11-13", "2025-11-15", False)),
        (None, ("2025-11-10", "2025-11-15", True)),
        ("America/New_York", ("2025-11-13", "2025-11-15", False)),
        ("America/New_York", ("2025-11-11", "2025-11-13", True)),
        ("America/New_York", ("2025-11-12", "2025-11-14", False)),
    ],
)
def test_days_cover_what_lies_between_them_in_any_zone_that_they_may_be_of(
    session, clock, tmp_path, zone: str | None, days: tuple[str, str, bool]
):
    *named, is_covered = days
    clock.at = datetime(2025, 11, 13, 3, 0, tzinfo=UTC)  # late on 12 November in New York
    made = lose(session, clock, timedelta(seconds=3))
    rows = ["\t".join([NAME, make_imei(n), "$0.08", "Pending", *[""] * 6, day, ""]) for n, day in enumerate(named, 2)]
    found = reconcile(session, made, write(tmp_path, *rows), zone=zone and name_time_zone(zone))
    assert tell_silence(found) == ((1, {}) if is_covered else (0, {Silence.OUTSIDE: 1}))


def test_of_two_zones_that_are_believed_each_edge_is_read_so_that_less_is_covered(tmp_path):
    first, last = START - timedelta(hours=1), START + timedelta(hours=1)
    statement = read_statement(write(tmp_path, row(2, first), row(3, last)), currency="USD")
    zones = INDIA, timezone(timedelta(hours=6))
    clock = ExportClock(statement.readings[0], zones, ahead=timedelta())
    assert clock.cover(statement) == (first + NEAR, last - timedelta(minutes=30) - NEAR)
    far = ExportClock(statement.readings[0], (INDIA, timezone(timedelta(hours=8))), ahead=timedelta())
    assert far.cover(statement) is None


@pytest.mark.parametrize(
    ("unreadable", "is_held"),
    [
        (row(6).replace(make_imei(6), "3.5E+14"), True),
        (row(6, START + timedelta(minutes=40)).replace(make_imei(6), "?"), False),
        (row(6, service="Another Service That Is Known").replace(make_imei(6), "3.5E+14"), False),
        (row(6, service="").replace(make_imei(6), "3.5E+14"), True),
        (f"{NAME}\t3.5E+14\t\t\t\t\t\t\t\t\t\t", True),
    ],
)
def test_a_row_that_cannot_be_read_proves_nothing_of_those_that_it_may_be(
    session, job, tmp_path, unreadable: str, is_held: bool
):
    add_job(session, [], service=ServiceId("2"), service_name="Another Service That Is Known")
    rows = [row(2, START - timedelta(hours=1)), unreadable, row(3, START + timedelta(hours=2))]
    found = reconcile(session, job, write(tmp_path, *rows), zone=INDIA)
    assert found.statement.unreadable == 1
    assert tell_silence(found) == ((0, {Silence.UNREADABLE: 3}) if is_held else (3, {}))


def test_an_export_whose_imeis_a_spreadsheet_has_shortened_says_once_what_to_do(tmp_path):
    shortened = [row(n).replace(make_imei(n), "3.5E+14") for n in (2, 3)]
    statement = read_statement(write(tmp_path, *shortened, row(6).replace(make_imei(6), "Total")), currency="USD")
    assert statement.unreadable == 3
    told = (
        "A spreadsheet has shortened IMEIs in it (3.57E+14), and their digits are gone: save it from the provider's "
        "site once more, and give it as it came, without opening it first."
    )
    assert statement.notes.count(told) == 1
    unshortened = read_statement(write(tmp_path, row(6).replace(make_imei(6), "Total")), currency="USD")
    assert "shortened" not in " ".join(unshortened.notes)


def test_an_export_of_imeis_proves_nothing_of_files(session, clock, tmp_path):
    made = add_item_job(session, FileItem("a.bcl", b"abc"))
    answer(session, made, {1: OrderState.UNCONFIRMED}, Ending.IN_DOUBT)
    finish(session, made)
    rows = [row(2, START - timedelta(hours=1)), row(3, START + timedelta(hours=1))]
    found = reconcile(session, made, write(tmp_path, *rows), zone=INDIA, is_complete=True)
    assert tell_silence(found) == (0, {Silence.OTHER_KIND: 1})
    assert settle_missing(session, found, note="") == 0


def test_an_export_of_other_services_proves_nothing(session, job, tmp_path):
    add_job(session, [], service=ServiceId("2"), service_name="Another Service That Is Known")
    times = (START - timedelta(hours=1), START + timedelta(hours=1))
    rows = [row(n, at, service="Another Service That Is Known") for n, at in zip((2, 3), times, strict=True)]
    found = reconcile(session, job, write(tmp_path, *rows), zone=INDIA)
    assert tell_silence(found) == (0, {Silence.OTHER_SERVICES: 3})


def test_an_order_made_by_hand_twenty_minutes_before_is_not_taken_for_the_doubt(session, job, tmp_path):
    by_hand = row(6, START - timedelta(minutes=20))
    found = reconcile(session, job, write(tmp_path, *(row(n) for n in (2, 3, 4, 5)), by_hand))
    assert found.settled == {}
    assert [why for _, why in found.obscure] == [Obscurity.OTHER_TIME]


def test_a_provider_s_clock_that_is_wrong_is_set_by_the_orders_that_are_certain(session, job, tmp_path):
    late = START + timedelta(minutes=6)
    found = reconcile(session, job, write(tmp_path, *(row(n, late) for n in (2, 3, 4, 5, 6))))
    assert [one.imei for one in found.settled.values()] == [make_imei(6)]
    assert found.clock.ahead == timedelta(minutes=6)
    found = reconcile(session, job, write(tmp_path, *(row(n, late) for n in (2, 3, 4, 5)), row(6, START)))
    assert found.settled == {}


def test_a_wrong_clock_is_set_where_the_export_names_its_time_zone_too(session, job, tmp_path):
    def zoned(number: int, at: datetime) -> str:
        shown = row(number, at).rsplit("\t", 2)[1]
        return row(number, at).replace(shown, f"{at:%Y-%m-%dT%H:%M:%S+00:00}")

    late = START + timedelta(minutes=6)
    found = reconcile(session, job, write(tmp_path, *(zoned(n, late) for n in (2, 3, 4, 5, 6))))
    assert (found.clock.zones, found.clock.ahead) == ((UTC,), timedelta(minutes=6))
    assert [one.imei for one in found.settled.values()] == [make_imei(6)]
    found = reconcile(session, job, write(tmp_path, *(zoned(n, late) for n in (2, 3, 4, 5)), zoned(6, START)))
    assert found.settled == {}


@pytest.mark.parametrize(("agreeing", "is_believed"), [((2, 3, 4), True), ((2,), False)])
def test_a_time_zone_is_believed_only_where_most_of_the_certain_orders_tell_it(
    session, job, tmp_path, agreeing: tuple[int, ...], is_believed: bool
):
    """Each of the others was ordered again by hand, hours later: the time zones that they tell are none."""
    others = [n for n in (2, 3, 4, 5) if n not in agreeing]
    rows = [row(n) for n in (*agreeing, 6)] + [row(n, START + timedelta(hours=n)) for n in others]
    found = reconcile(session, job, write(tmp_path, *rows))
    assert (found.clock is not None) is is_believed
    assert [one.imei for one in found.settled.values()] == ([make_imei(6)] if is_believed else [])
    assert [why for _, why in found.obscure] == ([] if is_believed else [Obscurity.TIME_UNKNOWN])


def test_a_row_that_belongs_to_an_accepted_order_does_not_settle_a_doubt_about_the_same_imei(session, job, tmp_path):
    second = add_job(session, [NewOrder(line=2, imei=make_imei(2))], service_name=NAME)
    answer(session, second, {2: OrderState.UNCONFIRMED}, Ending.IN_DOUBT)
    finish(session, second)
    export = write(tmp_path, *(row(n) for n in (2, 3, 4)))
    found = reconcile(session, second, export)
    assert (found.settled, found.unknown) == ({}, [])
    twice = write(tmp_path, *(row(n) for n in (2, 2, 3, 4)))
    assert len(reconcile(session, second, twice).settled) == 1


def test_one_row_for_two_doubts_about_the_same_imei_settles_neither(session, job, tmp_path):
    second = add_job(session, [NewOrder(line=2, imei=make_imei(6))], service_name=NAME)
    answer(session, second, {2: OrderState.UNCONFIRMED}, Ending.IN_DOUBT)
    finish(session, second)
    found = reconcile(session, job, write(tmp_path, *(row(n) for n in (2, 3, 6))))
    assert found.settled == {}
    assert [why for _, why in found.obscure] == [Obscurity.SEVERAL]
    assert (found.unknown, [one.imei for one in found.unclear]) == ([], [make_imei(6)])


@pytest.mark.parametrize("state", [OrderState.ACCEPTED, OrderState.UNCONFIRMED])
def test_while_its_time_zone_is_open_no_row_of_an_order_that_the_ledger_may_have_is_said_to_be_unknown(
    session, tmp_path, state
):
    job = add_job(session, [NewOrder(line=n, imei=make_imei(n)) for n in (2, 3, 4)], service_name=NAME)
    answer(session, job, {2: state, 3: state, 4: OrderState.REFUSED})
    finish(session, job)
    rows = [row(2), row(2, START + timedelta(days=1)), row(3), row(3, START + timedelta(days=2)), row(4), row(77)]
    found = reconcile(session, job, write(tmp_path, *rows))
    assert found.clock is None
    assert sorted(one.imei for one in found.unclear) == sorted(make_imei(n) for n in (2, 2, 3, 3))
    assert sorted(one.imei for one in found.unknown) == sorted(make_imei(n) for n in (4, 77))
    lines = list(tell_reconciliation(found, is_complete=False))
    assert "4 rows left open. They may be of orders that this ledger has: which cannot be told." in lines
    assert any(line.startswith("2 orders ($0.16) that the provider has and this ledger does not") for line in lines)


def test_an_order_of_the_same_imei_at_another_time_settles_nothing(session, job, tmp_path):
    export = write(tmp_path, row(2), row(3), row(6, START - timedelta(days=30)))
    found = reconcile(session, job, export)
    assert found.settled == {}
    assert [why for _, why in found.obscure] == [Obscurity.OTHER_TIME]
    assert [one.imei for one in found.unknown] == [make_imei(6)]


def test_another_service_settles_nothing_and_its_name_is_read_leniently(session, job, tmp_path):
    shout = "APPLE CARRIER &amp; SIMLOCK  CHECK!"
    export = write(tmp_path, row(2), row(3), row(6, service="Find My iPhone"), row(7, service=shout))
    found = reconcile(session, job, export)
    assert [one.imei for one in found.settled.values()] == [make_imei(7)]
    assert [why for _, why in found.obscure] == [Obscurity.OTHER_SERVICE]


def test_without_orders_that_are_certain_the_time_zone_has_to_be_said(session, tmp_path):
    job = add_job(session, [NewOrder(line=2, imei=make_imei(2))], service_name=NAME)
    answer(session, job, {2: OrderState.UNCONFIRMED}, Ending.IN_DOUBT)
    finish(session, job)
    export = write(tmp_path, row(2))
    left_open = reconcile(session, job, export)
    assert [why for _, why in left_open.obscure] == [Obscurity.TIME_UNKNOWN]
    assert (left_open.unknown, [one.imei for one in left_open.unclear]) == ([], [make_imei(2)])
    assert len(reconcile(session, job, export, zone=name_time_zone("Asia/Kolkata")).settled) == 1
    assert reconcile(session, job, export, zone=name_time_zone("UTC")).settled == {}
    with pytest.raises(UsageError, match="no time zone"):
        name_time_zone("Mars/Olympus")


def test_a_day_and_a_month_that_can_be_exchanged_are_read_as_the_certain_orders_tell(session, job, tmp_path, clock):
    ambiguous = [
        text.replace("2025-11-14", "11/12/2025").replace("2025-11-13", "10/12/2025") for text in map(row, (2, 3, 6))
    ]
    found = reconcile(session, job, write(tmp_path, *ambiguous))
    assert found.settled == {}
    assert "first or the" in " ".join(found.statement.notes)
    european = [row(n).replace("2025-11-14", "14.11.2025") for n in (2, 3, 6)]
    assert len(reconcile(session, job, write(tmp_path, *european)).settled) == 1


def test_a_list_that_was_edited_by_hand_is_read_all_the_same(session, job, tmp_path):
    when = f"{(START + timedelta(seconds=5)).astimezone(INDIA):%m/%d/%Y %I:%M %p}"
    rows = [f"{when};{make_imei(n)[:14]};{NAME.lower()}" for n in (2, 3)]
    damaged = f"{when};{int(make_imei(6)):.14E};{NAME.lower()}"
    found = reconcile(session, job, write(tmp_path, *rows, damaged, header="order date;Imei;service"))
    assert [one.imei for one in found.settled.values()] == [make_imei(6)]
    assert any("no column of status, credits" in note for note in found.statement.notes)


def test_an_export_without_dates_goes_by_imei_and_service_and_says_so(session, job, tmp_path):
    rows = [f"{NAME},{make_imei(n)}" for n in (2, 6)]
    found = reconcile(session, job, write(tmp_path, *rows, header="SERVICE,IMEI NO."))
    assert (found.clock, len(found.settled)) == (None, 1)
    assert found.unnamed == ()


def test_an_export_without_a_header_is_refused(session, job, tmp_path):
    with pytest.raises(ExportColumnError, match="no header"):
        reconcile(session, job, write(tmp_path, row(3), header=row(2)))


def test_orders_that_only_the_provider_has_and_prices_that_differ_are_found(session, job, tmp_path):
    rows = [row(2), row(3, price="$0.10"), row(4), row(77), row(2, START + timedelta(days=1))]
    found = reconcile(session, job, write(tmp_path, *rows))
    assert sorted(one.imei for one in found.unknown) == sorted([make_imei(77), make_imei(2)])
    ((one,)) = found.dearer
    assert (one.order.imei, str(one.recorded), str(one.row.price)) == (make_imei(3), "$0.08", "$0.10")


def test_a_number_that_several_rows_share_is_no_order_s_reference(session, job, tmp_path):
    rows = [f"{row(n)}\t{number}" for n, number in ((2, "R2"), (3, "R3"), (6, "B1"), (7, "B1"), (8, "B2"))]
    found = reconcile(session, job, write(tmp_path, *rows, header=f"{HEADER}\tORDER ID"))
    assert settle_by_export(session, found, note="") == 3
    known = {one.line: one.reference for one in session.ledger.order_rows(job)}
    assert [known[n] for n in (6, 7, 8)] == [None, None, "B2"]


def test_statuses_and_results_of_accepted_and_of_settled_orders_are_kept(session, job, tmp_path):
    done = {"status": "Completed", "code": "Model: iPhone 13"}
    found = reconcile(session, job, write(tmp_path, row(2, **done), row(3, status="Rejected"), row(6, **done)))
    settle_by_export(session, found, note="")
    told = {one.line: (one.status, one.result) for one in session.ledger.order_rows(job)}
    assert told[2] == told[6] == (ResultStatus.COMPLETED, "Model: iPhone 13")
    assert told[3][0] is ResultStatus.REJECTED
    assert reconcile(session, job, write(tmp_path, row(2, **done))).updates == []


def test_what_was_settled_meanwhile_is_not_settled_twice(session, job, tmp_path):
    found = reconcile(session, job, write(tmp_path, row(2), row(3), row(6)))
    settle_by_export(session, found, note="")
    with pytest.raises(GuardError):
        settle_by_export(session, found, note="")


def test_what_a_complete_export_says_is_done_wholly_or_not_at_all_and_logged_when_it_stands(
    session, job, tmp_path, monkeypatch
):
    rows = [row(2, START - timedelta(hours=1)), row(6), row(3, START + timedelta(hours=1), status="Completed")]
    found, logged = reconcile(session, job, write(tmp_path, *rows), zone=INDIA), []
    terms = {"is_complete": True, "notes": ("named", "missing"), "actor": "ann", "log": lambda *n: logged.append(n)}
    before = states(session, job)
    session.ledger.mark_placed([found.unnamed[0]], note="another's word, meanwhile")
    with pytest.raises(GuardError):
        settle_wholly(session, found, **terms)
    assert (states(session, job), logged) == (before | {7: OrderState.ACCEPTED}, [])
    found = reconcile(session, job, write(tmp_path, *rows), zone=INDIA)
    monkeypatch.setattr(session.ledger, "update_statuses", fail)
    with pytest.raises(LedgerBusyError):
        settle_wholly(session, found, **terms)
    assert [states(session, job)[n] for n in (6, 7, 8)] == [OrderState.ACCEPTED] * 2 + [OrderState.QUEUED]
    assert logged == [(1, 1)]
    told = [(event.kind, event.data["note"]) for event in session.ledger.events(job=job) if event.data.get("actor")]
    assert told == [("marked_placed", "named"), ("marked_not_placed", "missing")]


def fail(*_: object) -> None:
    raise LedgerBusyError(path="the ledger")


def test_doubts_of_other_jobs_that_it_names_are_told(session, job, tmp_path):
    second = make_job(session, range(2, 10))
    doubt = add_job(session, [NewOrder(line=2, imei=make_imei(50))], service_name=NAME)
    answer(session, doubt, {2: OrderState.UNCONFIRMED}, Ending.IN_DOUBT)
    finish(session, doubt)
    export = write(tmp_path, row(50), row(2), row(2))
    found = reconcile(session, second, export, zone=INDIA)
    assert found.elsewhere == {doubt: 1}
    assert SERVICE == "1"
