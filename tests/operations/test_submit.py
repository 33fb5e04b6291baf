"""From a list to a draft and its proposal: what is asked and kept, and that nothing stays of what is not started."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from imeiflow.domain.ident import JobId, ServiceId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.recurrence import Past
from imeiflow.errors import ConfigurationError, InputError, LedgerFullError, ProviderError, UsageError
from imeiflow.ledger.change import StatusUpdate
from imeiflow.ledger.record import NewOrder
from imeiflow.operations.admission import OrderedMeanwhileError, WaitingElsewhereError
from imeiflow.operations.session import Session
from imeiflow.operations.submit import (
    Request,
    UnknownPriceError,
    UnknownServiceError,
    check_request,
    preview_list,
    read_list,
)
from imeiflow.simulator.process import SimulatorProcess
from tests.operations.stand import (
    ACCOUNT,
    SERVICE,
    add_job,
    after_read,
    answer,
    finish,
    hold_call,
    make_configuration,
    make_imei,
    retry_orders,
)
from tests.simulator.warm import start_simulator

S = OrderState


@pytest.fixture(scope="module")
def simulator():
    with start_simulator() as started:
        yield started


@pytest.fixture
def session(tmp_path: Path, simulator: SimulatorProcess):
    simulator.set_behaviour(lockout="none", faults=(), accountinfo=True)
    with Session.open(make_configuration(tmp_path / "home", simulator.base_url)) as opened:
        yield opened


def make_list(*values: str) -> io.BytesIO:
    return io.BytesIO("\n".join(["IMEI,Grade", *(f"{value},A" for value in values)]).encode())


def make_request(*values: str, **more) -> Request:
    return Request(source=make_list(*values), service=SERVICE, **more)


def drafts(session: Session) -> int:
    """Count the drafts that are left: jobs that no listing shows."""
    return sum(
        1 for id_ in range(1, 10) if (job := session.ledger.find_job(JobId(id_))) and job.state is JobState.DRAFT
    )


def test_every_row_is_kept_and_each_imei_is_ordered_once(session: Session):
    values = [make_imei(1), make_imei(2), "hello", make_imei(1), f"'{make_imei(3)}"]
    draft, proposal = read_list(session, make_request(*values))
    with draft:
        draft.start(proposal)
    draft.lock.release()
    rows = list(session.ledger.order_rows(draft.job))
    assert [(row.line, row.state) for row in rows] == [
        (2, OrderState.QUEUED),
        (3, OrderState.QUEUED),
        (4, OrderState.INVALID),
        (5, OrderState.REPEATED),
        (6, OrderState.QUEUED),
    ]
    assert [row.columns for row in rows] == [(value, "A") for value in values]
    assert (rows[3].repeated_of, rows[4].imei, rows[4].repairs) == (2, make_imei(3), "quotes")
    assert rows[2].value == "hello"
    assert (proposal.preview.valid, proposal.preview.repeated, proposal.preview.invalid) == (3, 1, 1)


def test_price_balance_and_cost_are_proposed_in_one_currency_and_kept_with_the_job(session: Session):
    draft, proposal = read_list(session, make_request(make_imei(1), make_imei(2), max_spend=Decimal(1)))
    with draft:
        draft.start(proposal)
    draft.lock.release()
    assert str(proposal.cost) == "$0.16"
    assert proposal.credit.balance is not None
    job = session.find_job(draft.job)
    assert (job.unit_price, job.currency, job.max_spend, job.state) == (
        Decimal("0.08"),
        "USD",
        Decimal(1),
        JobState.RUNNING,
    )
    assert session.ledger.price_list(job.account)


def test_what_jobs_that_run_may_still_take_is_not_left_of_the_balance(session: Session):
    running = [NewOrder(line=line, imei=make_imei(line)) for line in range(500, 510)]
    lock = session.job_lock(add_job(session, running, max_spend=Decimal("0.50")))
    assert lock.acquire()
    draft, proposal = read_list(session, make_request(make_imei(1), make_imei(2)))
    with draft:
        credit = proposal.credit
        assert credit.outstanding == Decimal("0.50")
        assert credit.left == Money(credit.balance.amount - Decimal("0.50"), "USD")
        assert proposal.balance_after == Money(credit.balance.amount - Decimal("0.66"), "USD")
        assert credit.asked_at is not None
    lock.release()


def test_what_is_not_started_leaves_no_trace_and_frees_its_lock(session: Session):
    draft, _ = read_list(session, make_request(make_imei(1)))
    assert not session.job_lock(draft.job).is_free()
    with draft:
        pass
    assert session.job_lock(draft.job).is_free()
    assert session.ledger.list_jobs() == []
    assert drafts(session) == 0


def test_a_list_that_breaks_off_leaves_no_draft(session: Session):
    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_list(session, make_request(make_imei(1)), stop)
    assert drafts(session) == 0


@pytest.mark.parametrize("count", [2_000, 12_000], ids=["in the last rows", "in rows before the last"])
def test_a_list_that_could_not_be_kept_whole_is_no_job(session: Session, count: int):
    def run(statement: str) -> int:
        return session.ledger._write(lambda c: c.exec_driver_sql(statement).scalar_one())

    def make_room(_: int) -> None:
        with suppress(LedgerFullError):
            run("SELECT 1")  # it may share the transaction of the rows
        run("PRAGMA max_page_count=1000000")

    request = make_request(*map(make_imei, range(count)))
    run(f"PRAGMA max_page_count={run('PRAGMA page_count') + 4}")  # room for a draft, not for its rows
    with pytest.raises(LedgerFullError):
        read_list(session, request, make_room)
    assert drafts(session) == 0


def test_a_preview_writes_nothing_even_where_there_is_no_ledger(tmp_path: Path, simulator: SimulatorProcess):
    configuration = make_configuration(tmp_path / "none", simulator.base_url, has_ledger=False)
    proposal = preview_list(configuration, make_request(make_imei(1), make_imei(1)))
    assert (proposal.preview.valid, proposal.preview.repeated) == (1, 1)
    assert not (tmp_path / "none").exists()


def test_what_was_ordered_before_under_the_service_is_found_with_its_job(session: Session):
    job = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in (1, 2, 3)])
    answer(session, job, {1: OrderState.ACCEPTED, 2: OrderState.UNCONFIRMED, 3: OrderState.REFUSED})
    proposal = preview_list(session.configuration, make_request(*map(make_imei, range(1, 7))))
    groups = proposal.earlier.groups
    assert {past: group.count for past, group in groups.items()} == {Past.OPEN: 1, Past.UNSETTLED: 1}
    assert [example.imei for group in groups.values() for example in group.examples] == [make_imei(1), make_imei(2)]
    assert f"job {job} of " in groups[Past.OPEN].examples[0].sentence
    assert "reference R1: accepted" in groups[Past.OPEN].examples[0].sentence
    assert (proposal.preview.valid, proposal.preview.skipped) == (4, 2)
    other = preview_list(session.configuration, Request(source=make_list(make_imei(1)), service=ServiceId("2")))
    assert other.earlier.count == 0


def test_what_was_ordered_before_stays_in_the_job_as_a_row_that_says_so_and_has_the_earlier_result(session: Session):
    earlier = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in (1, 2, 3, 4)])
    answer(session, earlier, {1: OrderState.ACCEPTED, 2: OrderState.ACCEPTED, 3: OrderState.UNCONFIRMED})
    session.ledger.cancel_queued(earlier)
    completed, rejected = (row.id for row in islice(session.ledger.order_rows(earlier), 2))
    session.ledger.update_statuses(
        ACCOUNT,
        [
            StatusUpdate(order=completed, status=ResultStatus.COMPLETED, result="Model: iPhone 13"),
            StatusUpdate(order=rejected, status=ResultStatus.REJECTED),
        ],
    )
    values = [make_imei(number) for number in (1, 2, 3, 4, 5, 1)]
    draft, proposal = read_list(session, make_request(*values))
    with draft:
        draft.start(proposal)
    draft.lock.release()
    rows = list(session.ledger.order_rows(draft.job))
    assert [row.state for row in rows] == [S.REPEATED, S.QUEUED, S.REPEATED, S.QUEUED, S.QUEUED, S.REPEATED]
    assert (rows[0].earlier, rows[0].first, rows[0].reference) == (completed, S.ACCEPTED, "R1")
    assert (rows[0].status, rows[0].result) == (ResultStatus.COMPLETED, "Model: iPhone 13")
    assert rows[0].error == f"Ordered before under this service, by job {earlier}: not sent again."
    assert (rows[0].price, rows[0].charges) == (None, 0)
    assert "has to be settled first" in (rows[2].error or "")
    assert (rows[5].repeated_of, rows[5].result) == (2, "Model: iPhone 13")  # of the earlier order, too
    assert str(proposal.cost) == "$0.24"
    assert proposal.preview.total == proposal.preview.valid + proposal.preview.skipped + proposal.preview.repeated
    told = {reason.message: reason.count for reason in session.ledger.reasons(draft.job)}
    assert told[rows[0].error] == 1


def test_ordering_again_sends_what_is_known_as_ordered_and_never_what_is_not_settled(session: Session):
    earlier = add_job(session, [NewOrder(line=line, imei=make_imei(line)) for line in (1, 2, 3)])
    answer(session, earlier, {1: OrderState.ACCEPTED, 2: OrderState.UNCONFIRMED, 3: OrderState.DUPLICATE})
    draft, proposal = read_list(session, make_request(*map(make_imei, (1, 2, 3)), again=True))
    with draft:
        states = [row.state for row in session.ledger.order_rows(draft.job)]
    assert states == [S.QUEUED, S.REPEATED, S.QUEUED]
    assert (proposal.earlier.count, proposal.earlier.skipped) == (3, 1)


def test_an_order_in_doubt_matters_more_than_a_newer_one(session: Session):
    for state in (OrderState.UNCONFIRMED, OrderState.ACCEPTED):
        answer(session, add_job(session, [NewOrder(line=1, imei=make_imei(1))]), {1: state})
    proposal = preview_list(session.configuration, make_request(make_imei(1), again=True))
    assert (proposal.preview.valid, list(proposal.earlier.groups)) == (0, [Past.UNSETTLED])


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.PAUSED])
def test_an_imei_that_waits_in_another_job_under_the_service_is_refused(session: Session, state: JobState):
    job = add_job(session, [NewOrder(line=1, imei=make_imei(1))])
    if state is not JobState.RUNNING:
        session.ledger.change_job(job, {JobState.RUNNING}, state, None)
    with pytest.raises(WaitingElsewhereError, match=f"in job {job}, which is {state}"):
        read_list(session, make_request(make_imei(2), make_imei(1)))
    assert drafts(session) == 0
    with pytest.raises(WaitingElsewhereError):
        preview_list(session.configuration, make_request(make_imei(1)))
    with read_list(session, Request(source=make_list(make_imei(1)), service=ServiceId("2")))[0] as draft:
        assert session.ledger.tally(draft.job)[OrderState.QUEUED] == 1


def test_of_two_lists_read_at_once_the_second_to_start_is_refused_what_waits_in_the_first(session: Session):
    (first, proposal), (second, other) = (read_list(session, make_request(make_imei(1))) for _ in range(2))
    with first:
        first.start(proposal)
    with pytest.raises(WaitingElsewhereError, match=f"in job {first.job}"), second:
        second.start(other)
    first.lock.release()
    assert [job.id for job in session.ledger.list_jobs()] == [first.job]
    assert drafts(session) == 0


def test_of_two_lists_read_at_once_the_second_to_start_is_refused_what_the_first_has_placed(session: Session):
    draft, proposal = read_list(session, make_request(make_imei(1), make_imei(2)))
    job = add_job(session, [NewOrder(line=1, imei=make_imei(2))])
    answer(session, job, {1: OrderState.UNCONFIRMED})
    with pytest.raises(OrderedMeanwhileError, match=f"IMEI {make_imei(2)} was ordered .* by job {job}"), draft:
        draft.start(proposal)
    assert drafts(session) == 0


@pytest.mark.parametrize("state", [OrderState.QUEUED, OrderState.ACCEPTED, OrderState.UNCONFIRMED])
def test_a_list_is_refused_what_another_job_was_let_retry_while_it_waited(session: Session, state: OrderState):
    job = add_job(session, [NewOrder(line=1, imei=make_imei(1))])
    answer(session, job, {1: OrderState.REFUSED})
    finish(session, job)
    draft, proposal = read_list(session, make_request(make_imei(1)))
    assert proposal.preview.valid == 1
    assert retry_orders(session, job) == 1  # in another window
    if state is not OrderState.QUEUED:
        session.ledger.change_job(job, {JobState.FINISHED}, JobState.RUNNING, None)
        answer(session, job, {1: state})
    wanted = WaitingElsewhereError if state is OrderState.QUEUED else OrderedMeanwhileError
    with pytest.raises(wanted, match=f"job {job}"), draft:
        draft.start(proposal)
    assert drafts(session) == 0
    assert session.ledger.tally(job)[state] == 1


def test_a_list_whose_job_starts_at_the_moment_of_a_retry_is_looked_at_again(session: Session):
    """The last of all is whether anything was queued, in the transaction that starts the job."""
    job = add_job(session, [NewOrder(line=1, imei=make_imei(1))])
    answer(session, job, {1: OrderState.REFUSED})
    finish(session, job)
    draft, proposal = read_list(session, make_request(make_imei(1)))
    find, found = session.ledger.find_conflict, []

    def find_and_retry(job_id, since):
        found.append(find(job_id, since))
        if len(found) == 1:
            retry_orders(session, job)
        return found[-1]

    session.ledger.find_conflict = find_and_retry
    with pytest.raises(WaitingElsewhereError), draft:
        draft.start(proposal)
    assert found[0] is None


@pytest.mark.parametrize("number", range(1, 12))
@pytest.mark.parametrize("goes", ["out", "back"])
def test_what_leaves_or_comes_back_while_a_list_is_read_is_not_ordered_by_both(
    session: Session, number: int, goes: str
):
    job = add_job(session, [NewOrder(line=1, imei=make_imei(1))])
    step = hold_call(session, job) if goes == "back" else lambda: answer(session, job, {1: OrderState.ACCEPTED})
    after_read(session, number, step)
    with suppress(WaitingElsewhereError), read_list(session, make_request(make_imei(1)))[0] as draft:
        assert session.ledger.tally(draft.job)[OrderState.QUEUED] == 0


def test_a_list_that_shares_nothing_with_those_that_started_meanwhile_is_let_in(session: Session):
    draft, proposal = read_list(session, make_request(make_imei(1)))
    add_job(session, [NewOrder(line=1, imei=make_imei(2))])
    with draft:
        draft.start(proposal)
    draft.lock.release()
    assert session.find_job(draft.job).state is JobState.RUNNING


def test_a_cap_without_a_price_cannot_be_kept_and_is_refused(session: Session, simulator: SimulatorProcess):
    simulator.set_behaviour(faults=("html-500@100%",), fault_actions=("imeiservices",))
    with pytest.raises(UnknownPriceError):
        read_list(session, make_request(make_imei(1), max_spend=Decimal(5)))
    assert drafts(session) == 0
    draft, proposal = read_list(session, make_request(make_imei(1)))
    with draft:
        assert (proposal.price, proposal.prices.is_fresh) == (None, False)
        assert proposal.prices.problem


def test_without_a_fresh_price_list_the_ledger_s_own_is_used_and_said_to_be_old(
    session: Session, simulator: SimulatorProcess
):
    with read_list(session, make_request(make_imei(1)))[0]:
        pass
    simulator.set_behaviour(faults=("html-500@100%",), fault_actions=("imeiservices",))
    draft, proposal = read_list(session, make_request(make_imei(1), max_spend=Decimal(5)))
    with draft:
        assert str(proposal.price) == "$0.08"
        assert not proposal.prices.is_fresh
        assert proposal.prices.as_of is not None


def test_a_price_of_last_time_is_in_the_money_that_the_account_is_known_to_have(
    session: Session, simulator: SimulatorProcess
):
    draft, proposal = read_list(session, make_request(make_imei(1)))
    with draft:
        draft.start(proposal)
    draft.lock.release()
    simulator.set_behaviour(faults=("html-500@100%",), fault_actions=("all",))
    draft, proposal = read_list(session, make_request(make_imei(2)))
    with draft:
        assert (str(proposal.price), proposal.credit.balance) == ("$0.08", None)


def test_a_service_that_the_price_list_does_not_have_is_refused(session: Session):
    with pytest.raises(UnknownServiceError):
        read_list(session, Request(source=make_list(make_imei(1)), service=ServiceId("999999")))
    assert drafts(session) == 0


def test_a_login_that_is_turned_away_is_told_in_the_provider_s_words(session: Session, simulator: SimulatorProcess):
    simulator.set_behaviour(lockout="ip")
    with pytest.raises(ProviderError, match="Invalid IP"):
        read_list(session, make_request(make_imei(1)))
    assert drafts(session) == 0


def test_a_balance_that_is_not_told_is_no_obstacle(session: Session, simulator: SimulatorProcess):
    simulator.set_behaviour(accountinfo=False)
    draft, proposal = read_list(session, make_request(make_imei(1)))
    with draft:
        assert proposal.credit.balance is None
        assert proposal.credit.problem


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"account": "other"}, ConfigurationError),
        ({"chunk_size": 101}, UsageError),
        ({"chunk_size": 0}, UsageError),
        ({"column": "Serial"}, InputError),
    ],
)
def test_what_cannot_be_asked_for_is_refused_and_leaves_no_draft(session: Session, more, error):
    with pytest.raises(error):
        read_list(session, make_request(make_imei(1), **more))
    assert drafts(session) == 0


def test_a_key_that_is_missing_is_told_before_the_list_is_read(tmp_path: Path):
    configuration = make_configuration(tmp_path, key="", key_env="NOT_SET")
    with pytest.raises(ConfigurationError, match="NOT_SET"):
        check_request(configuration, make_request())


def test_a_list_whose_name_is_no_unicode_is_read(session: Session, tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/phones-\xff.csv"))
    path.write_bytes(make_list(make_imei(1)).getvalue())
    with read_list(session, Request(source=path, service=SERVICE))[0] as draft:
        found = session.ledger.find_job(draft.job)
        assert found is not None
        assert found.name == "phones-\ufffd.csv"
