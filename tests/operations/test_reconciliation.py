"""The provider's export against the ledger: it settles what it names, once, and nothing that can be meant otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.domain.outcome import Ending
from imeiflow.errors import GuardError, UsageError
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.claim import Obscurity
from imeiflow.operations.reconciliation import reconcile, settle_by_export, settle_missing
from imeiflow.operations.session import Session
from imeiflow.operations.statement import ExportColumnError
from imeiflow.operations.time_zone import name_time_zone
from tests.operations.stand import SERVICE, add_job, answer, finish, make_configuration, make_imei

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
    assert (found.unnamed, found.outside) == ((), 3)


def test_a_row_that_belongs_to_an_accepted_order_does_not_settle_a_doubt_about_the_same_imei(session, job, tmp_path):
    second = add_job(session, [NewOrder(line=2, imei=make_imei(2))], service_name=NAME)
    answer(session, second, {2: OrderState.UNCONFIRMED}, Ending.IN_DOUBT)
    finish(session, second)
    export = write(tmp_path, *(row(n) for n in (2, 3, 4)))
    assert reconcile(session, second, export).settled == {}
    twice = write(tmp_path, *(row(n) for n in (2, 2, 3, 4)))
    assert len(reconcile(session, second, twice).settled) == 1


def test_one_row_for_two_doubts_about_the_same_imei_settles_neither(session, job, tmp_path):
    second = add_job(session, [NewOrder(line=2, imei=make_imei(6))], service_name=NAME)
    answer(session, second, {2: OrderState.UNCONFIRMED}, Ending.IN_DOUBT)
    finish(session, second)
    found = reconcile(session, job, write(tmp_path, *(row(n) for n in (2, 3, 6))))
    assert found.settled == {}
    assert [why for _, why in found.obscure] == [Obscurity.SEVERAL]


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
    assert [why for _, why in reconcile(session, job, export).obscure] == [Obscurity.TIME_UNKNOWN]
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


def test_doubts_of_other_jobs_that_it_names_are_told(session, job, tmp_path):
    second = make_job(session, range(2, 10))
    doubt = add_job(session, [NewOrder(line=2, imei=make_imei(50))], service_name=NAME)
    answer(session, doubt, {2: OrderState.UNCONFIRMED}, Ending.IN_DOUBT)
    finish(session, doubt)
    export = write(tmp_path, row(50), row(2), row(2))
    found = reconcile(session, second, export, zone=INDIA)
    assert found.elsewhere == {doubt: 1}
    assert SERVICE == "1"
