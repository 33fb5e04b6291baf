"""A moment of a job in words: counts that add up, honest costs, and what is out of the ordinary."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from imeiflow.cli.display import LiveDisplay, PlainDisplay, draw_moment
from imeiflow.cli.moment import (
    describe_cost,
    describe_counts,
    describe_ending,
    describe_left,
    describe_line,
    describe_moment,
    share_done,
)
from imeiflow.cli.report import MEANING
from imeiflow.cli.state import TOLD, count_states
from imeiflow.dispatch.lane import Lane
from imeiflow.dispatch.view import JobView
from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.domain.progress import Tally
from imeiflow.errors import LedgerBusyError
from imeiflow.ledger.record import Job
from imeiflow.operations.follow import Progress

AT = datetime(2026, 11, 24, 22, 3, tzinfo=UTC)
HALF = Tally({OrderState.ACCEPTED: 9_900, OrderState.REFUSED: 100, OrderState.QUEUED: 9_000, OrderState.SENDING: 1_000})


def make_job(**changes: Any) -> Job:
    job = Job(
        id=JobId(7),
        account=AccountName("main"),
        provider="gsm-fusion",
        service=ServiceId("12"),
        service_name="Carrier check",
        name="phones.csv",
        source="phones.csv",
        state=JobState.RUNNING,
        wanted=None,
        reason=None,
        priority=0,
        policy=Policy.SETTLE,
        unit_price=Decimal("0.08"),
        currency="USD",
        max_spend=None,
        chunk_size=None,
        largest_chunk=None,
        max_concurrency=None,
        rate=None,
        columns=None,
        imei_column=None,
        has_header=True,
        created_at=AT,
        started_at=AT,
        ended_at=None,
        worked_s=0.0,
        submitted_by=None,
        hold_after=None,
        kind=OrderKind.IMEI,
    )
    return replace(job, **changes)


def make_view(tally: Tally = HALF, **changes: Any) -> JobView:
    view = JobView(
        tally=tally,
        spent=Money(Decimal("792.00"), "USD"),
        probed=Money(Decimal(0), "USD"),
        calls_under_way=10,
        orders_under_way=1_000,
        chunk_size=100,
        chunk_reason="the provider named all of a call of 100 orders",
        lane=Lane().view(),
        calls_per_s=10.0,
        orders_per_s=1000.0,
        left_s=10.0,
        stopping=None,
        stop_reason=None,
        is_settling=False,
        blocked_s=0.0,
        trouble=None,
    )
    return replace(view, **changes)


def make_progress(
    view: JobView | None, *, tally: Tally | None = None, job: Job | None = None, **changes: Any
) -> Progress:
    progress = Progress(
        job=job or make_job(),
        tally=tally or (view.tally if view is not None else HALF),
        spent=view.spent if view is not None else Money(Decimal("792.00"), "USD"),
        probed=view.probed if view is not None else None,
        view=view,
        owner=None,
        elapsed_s=10.0,
        interruptions=0,
        is_watching=False,
    )
    return replace(progress, **changes)


@given(st.dictionaries(st.sampled_from(OrderState), st.integers(0, 10**6)))
def test_the_states_that_are_told_add_up_to_the_rows(counts):
    tally = Tally(counts)
    assert sum(number for _, number in count_states(tally)) == tally.total


def test_every_state_is_told_and_has_a_meaning():
    assert set(TOLD) == set(MEANING) == set(OrderState)


def test_counts_are_said_with_their_sum():
    assert describe_counts(HALF) == "9,900 accepted · 100 refused · 9,000 queued · 1,000 under way = 20,000 rows"


@pytest.mark.parametrize(("is_remote", "told"), [(False, "takes over if it ends"), (True, "left, it goes on there")])
def test_whoever_looks_on_is_told_who_works_and_what_becomes_of_it(is_remote, told):
    progress = make_progress(None, owner="https://shop", is_watching=True, is_remote=is_remote)
    [note] = [line for line in describe_moment(progress) if line.label == "note"]
    assert note.value == "worked on by https://shop"
    assert note.why.endswith(told)


def test_the_bar_and_the_time_left_count_what_still_waits():
    progress = make_progress(make_view())
    assert share_done(progress) == 0.5
    assert describe_left(progress) == "10 s left"


@pytest.mark.parametrize(("done", "told"), [(0, "0%"), (29, "29%"), (99.6, "99%"), (99.999, "99%"), (100, "100%")])
def test_all_is_said_to_be_done_only_when_it_is(done, told):
    tally = Tally({OrderState.ACCEPTED: round(done * 1000), OrderState.SENDING: 100_000 - round(done * 1000)})
    progress = make_progress(make_view(tally))
    assert describe_line(progress).startswith(f"job 7: {told}; ")
    console = Console(file=io.StringIO(), width=80)
    console.print(draw_moment(progress, 80))
    assert f" {told}" in console.file.getvalue()


def test_doubts_that_are_being_settled_still_wait():
    tally = Tally({OrderState.ACCEPTED: 900, OrderState.UNCONFIRMED: 100})
    settling = make_progress(make_view(tally, is_settling=True, orders_per_s=10.0))
    assert share_done(settling) == 0.9
    assert describe_left(settling) == "10 s left"
    assert share_done(make_progress(make_view(tally))) == 1.0
    assert describe_left(make_progress(make_view(tally))) == ""


def test_orders_that_were_cancelled_are_not_counted_as_done():
    tally = Tally({OrderState.ACCEPTED: 300, OrderState.CANCELLED: 700})
    assert share_done(make_progress(make_view(tally))) == 1.0, "some were cancelled of a job that goes on"
    for ended in (
        make_progress(make_view(tally, stopping=JobState.CANCELLED)),
        make_progress(None, tally=tally, job=make_job(state=JobState.CANCELLED)),
    ):
        assert share_done(ended) == 0.3


def test_nothing_is_promised_while_nothing_is_measured():
    assert describe_left(make_progress(make_view(orders_per_s=0.0))) == "time left not known yet"


def test_cost_is_what_was_spent_of_the_most_and_what_is_in_doubt():
    tally = Tally({OrderState.ACCEPTED: 9_900, OrderState.UNCONFIRMED: 10, OrderState.INVALID: 5})
    job = make_job(max_spend=Decimal(1000))
    told = describe_cost(make_progress(make_view(tally), job=job))
    assert told == "$792.00 of at most $792.80, and up to $0.80 in doubt; cap $1,000.00"
    assert describe_cost(make_progress(make_view(), job=make_job(unit_price=None))) == ""


def test_what_a_repeat_probe_cost_is_said_beside_what_the_list_costs_at_most():
    spent, probed = Money(Decimal("800.08"), "USD"), Money(Decimal("0.08"), "USD")
    tally = Tally({OrderState.ACCEPTED: 9_998, OrderState.UNCONFIRMED: 2})
    told = describe_cost(make_progress(make_view(tally, spent=spent, probed=probed)))
    assert told == "$800.08 of at most $800.00 for the list and $0.08 for repeat probes, and up to $0.16 in doubt"


@pytest.mark.parametrize(
    ("changes", "interruptions", "told"),
    [
        ({}, 0, ""),
        ({}, 1, "pausing: 10 calls with 1,000 orders are under way, and will still be charged"),
        (
            {"stopping": JobState.CANCELLED},
            0,
            "cancelling: 10 calls with 1,000 orders are under way, and will still be charged",
        ),
        (
            {"stopping": JobState.PAUSED, "calls_under_way": 1, "orders_under_way": 1},
            0,
            "pausing: 1 call with 1 order is under way, and will still be charged",
        ),
        (
            {"tally": Tally({OrderState.QUEUED: 3}), "calls_under_way": 0, "orders_under_way": 0},
            1,
            "pausing: nothing is under way any more",
        ),
    ],
)
def test_pausing_says_honestly_what_is_still_charged(changes, interruptions, told):
    assert describe_ending(make_progress(make_view(**changes), interruptions=interruptions)) == told


def test_who_only_looks_on_leaves_and_the_job_goes_on():
    progress = make_progress(None, interruptions=1, is_watching=True, owner="process 5 (imeiflow submit)")
    assert describe_ending(progress) == "leaving; the job goes on"
    assert "worked on by process 5 (imeiflow submit)" in describe_line(progress)


def test_what_is_out_of_the_ordinary_is_noted_with_its_reason():
    trouble = LedgerBusyError(path="ledger.sqlite")
    view = make_view(blocked_s=30.0, is_settling=True, trouble=trouble)
    notes = [line for line in describe_moment(make_progress(view)) if line.label == "note"]
    assert [note.value.split(":")[0] for note in notes] == ["waiting", "silent for 30 s", "settling doubt"]
    assert notes[0].why == trouble.remedy


def test_speed_chunk_concurrency_and_pace_each_have_a_line_with_its_reason():
    lines = {line.label: line for line in describe_moment(make_progress(make_view()))}
    assert lines["speed"].value == "10.0 calls/s, 1,000 orders/s"
    assert (lines["a call"].value, lines["a call"].why) == (
        "100 orders",
        "the provider named all of a call of 100 orders",
    )
    assert lines["at once"].why
    assert lines["pace"].value == "no limit found"


def test_plain_lines_come_every_few_seconds_and_when_something_happens():
    now, lines = [0.0], []
    display = PlainDisplay(lines.append, lambda: now[0])
    progress = make_progress(make_view())
    for now[0] in (0.0, 1.0, 4.9, 5.0, 6.0):
        display.show(progress)
    assert len(lines) == 2
    display.show(replace(progress, interruptions=1))
    assert len(lines) == 3
    assert "pausing" in lines[2]
    for now[0] in (11.5, 20.0, 21.1):
        display.show(replace(progress, interruptions=1, elapsed_s=100.0))
    assert len(lines) == 4


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_picture_fits_and_holds_all_that_is_told(width):
    view = make_view(stopping=JobState.PAUSED, stop_reason="26 of the last 50 calls got no clear answer", blocked_s=3.0)
    progress = make_progress(view, job=make_job(name="x" * 90 + "\x1b[31m.csv"))
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(draw_moment(progress, width))
    drawn = console.file.getvalue()
    assert max(map(len, drawn.splitlines())) <= width
    assert "\x1b" not in drawn
    words = " ".join(drawn.split())
    for told in (
        "50%",
        "9,900 accepted",
        "1,000 under way",
        "100 orders",
        "$792.00",
        "will still be charged",
        "no clear answer",
    ):
        assert told in words


def test_a_terminal_that_goes_away_ends_the_picture_and_nothing_else():
    class Gone(io.StringIO):
        def write(self, text: str) -> int:  # noqa: ARG002
            raise OSError(5, "Input/output error")

    display = LiveDisplay(Console(file=Gone(), force_terminal=True, width=80))
    display.show(make_progress(make_view()))
    display.close()
