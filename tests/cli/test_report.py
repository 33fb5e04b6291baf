"""What became of a job in a few lines, and what to do next."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from imeiflow.cli.report import headline, next_steps, tell_counts, tell_money, tell_steps
from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.outcome import ErrorKind
from imeiflow.domain.progress import Summary, Tally
from imeiflow.ledger.record import Reason
from imeiflow.operations.follow import Followed
from imeiflow.operations.job_detail import ShownReason, show_reason
from tests.cli.test_moment import make_job

MIXED = Tally(
    {
        OrderState.ACCEPTED: 80,
        OrderState.REFUSED: 6,
        OrderState.FAILED: 2,
        OrderState.UNCONFIRMED: 4,
        OrderState.INVALID: 8,
    }
)


def make_summary(tally: Tally = MIXED, state: JobState = JobState.FINISHED, reason: str | None = None) -> Summary:
    return Summary(
        job=JobId(7),
        state=state,
        tally=tally,
        attempts=12,
        spent=Money(Decimal("6.40"), "USD"),
        in_doubt=Money(Decimal("0.08") * tally[OrderState.UNCONFIRMED], "USD"),
        seconds=31,
        reason=reason,
    )


def make_reason(state: OrderState, message: str, count: int) -> ShownReason:
    return show_reason(
        Reason(state=state, kind=ErrorKind.ORDER, message=message, count=count, line=17, imei="350000000000017")
    )


def commands(state: JobState, tally: Tally) -> list[str]:
    return [step.command.replace(" 7", "") for step in next_steps(make_job(state=state), tally)]


def test_the_headline_says_the_end_the_rows_the_calls_and_the_time():
    assert headline(make_job(), make_summary()) == "Job 7 is finished: 100 rows, 12 calls in 31 s."


def test_a_job_that_goes_on_elsewhere_is_said_to():
    summary = make_summary(state=JobState.RUNNING)
    followed = Followed(
        summary=summary, was_interrupted=True, is_left_running=True, owner="process 5 (imeiflow submit)"
    )
    assert headline(make_job(), summary, followed).startswith("Job 7 goes on under process 5 (imeiflow submit):")


def test_counts_are_told_with_their_most_frequent_reasons_and_an_example():
    reasons = [make_reason(OrderState.REFUSED, f"reason {number}", 6 - number) for number in range(5)]
    lines = list(tell_counts(MIXED, [make_reason(OrderState.INVALID, "luhn", 8), *reasons], 100))
    assert lines[0].split() == ["80", "accepted", "the", "provider", "has", "them"]
    assert "6 × reason 0 (line 17: 350000000000017)" in lines[2]
    assert "5 × for other reasons: see `imeiflow show`" in lines[5]
    assert "8 × The last digit does not fit" in lines[-1]
    assert sum(1 for line in lines if "×" in line) == 5


def test_a_provider_s_text_cannot_break_a_line():
    lines = list(tell_counts(MIXED, [make_reason(OrderState.REFUSED, "no\n\x1b[2Jno", 6)], 100))
    assert all("\x1b" not in line and "\n" not in line for line in lines)


def test_money_says_what_was_spent_and_what_may_have_been():
    assert tell_money(make_job(), make_summary()) == (
        "Spent: $6.40. Up to $0.32 more may have been charged for what is unconfirmed."
    )
    assert tell_money(make_job(), make_summary(Tally({OrderState.ACCEPTED: 80}))) == "Spent: $6.40."
    assert "not known" in tell_money(make_job(unit_price=None), make_summary())


@pytest.mark.parametrize(
    ("tally", "in_doubt", "told"),
    [
        ({OrderState.ACCEPTED: 80}, "0.08", "a repeat probe whose reply was lost"),
        ({OrderState.SENDING: 2}, "0.16", "what is under way"),
        ({OrderState.SENDING: 2, OrderState.UNCONFIRMED: 1}, "0.24", "what is unconfirmed or under way"),
        ({OrderState.UNCONFIRMED: 1}, "0.16", "what is unconfirmed and a repeat probe whose reply was lost"),
    ],
)
def test_money_says_what_it_is_that_may_have_been_charged(tally, in_doubt, told):
    summary = replace(make_summary(Tally(tally)), in_doubt=Money(Decimal(in_doubt), "USD"))
    assert tell_money(make_job(), summary) == f"Spent: $6.40. Up to ${in_doubt} more may have been charged for {told}."


def test_money_says_what_a_repeat_probe_cost_beyond_the_list():
    summary = replace(make_summary(Tally({OrderState.ACCEPTED: 80})), probed=Money(Decimal("0.08"), "USD"))
    assert tell_money(make_job(), summary) == (
        "Spent: $6.40. $0.08 of it, beyond what the list costs, for repeat probes: repeats are charged here."
    )


def test_where_repeats_are_charged_nobody_is_told_that_going_on_repeats_any():
    tally = Tally({OrderState.ACCEPTED: 3, OrderState.UNCONFIRMED: 1})
    job = make_job(state=JobState.PAUSED)
    does = [next_steps(job, tally, no_repeat=why)[0].does for why in ("", "repeats are charged here")]
    assert does == [
        "settle what is unconfirmed as far as can be known",
        "look for what is unconfirmed in the provider's list of orders, and repeat nothing",
    ]


@pytest.mark.parametrize(
    ("state", "tally", "expected"),
    [
        (
            JobState.FINISHED,
            MIXED,
            [
                *("imeiflow settle", "imeiflow retry", "imeiflow show", "imeiflow export -o FILE"),
                "imeiflow export --failed -o FILE",
            ],
        ),
        (
            JobState.FINISHED,
            Tally({OrderState.INVALID: 1, OrderState.ACCEPTED: 1}),
            ["imeiflow show", "imeiflow export -o FILE", "imeiflow export --failed -o FILE"],
        ),
        (JobState.FINISHED, Tally({OrderState.ACCEPTED: 1}), ["imeiflow export -o FILE"]),
        (JobState.PAUSED, Tally({OrderState.QUEUED: 5}), ["imeiflow resume"]),
        (JobState.RUNNING, Tally({OrderState.QUEUED: 5}), ["imeiflow resume", "imeiflow pause"]),
        (JobState.CANCELLED, Tally({OrderState.CANCELLED: 5}), ["imeiflow export -o FILE"]),
    ],
)
def test_the_next_steps_are_those_that_the_job_allows(state, tally, expected):
    assert commands(state, tally) == expected


def test_what_its_spending_cap_has_paused_goes_on_with_another_one():
    waiting = Tally({OrderState.ACCEPTED: 3, OrderState.QUEUED: 2})
    job = make_job(state=JobState.PAUSED)
    assert [step.command for step in next_steps(job, waiting, is_capped=True)] == [
        "imeiflow resume 7 --max-spend AMOUNT"
    ]


@pytest.mark.parametrize(("cost", "told"), [("0.08", "$0.08"), ("1.04", "$1.04 with those whose reply was lost")])
def test_a_dear_probe_is_offered_with_what_it_may_cost_in_all(cost, told):
    steps = next_steps(make_job(state=JobState.FINISHED), MIXED, probe=Money(Decimal(cost), "USD"))
    assert steps[0].command == f"imeiflow resume 7 --probe-up-to {cost}"
    assert steps[0].does == f"repeat one order, which may cost {told}, to learn whether the 4 can be settled"


def test_a_retry_is_offered_with_its_cost():
    (retry,) = [step for step in next_steps(make_job(state=JobState.FINISHED), MIXED) if "retry" in step.command]
    assert retry.does == "send the 8 refused or failed again, for $0.64"


@pytest.mark.parametrize(
    ("awaited", "told"),
    [(1, "the accepted order to its result"), (1_234, "the 1,234 accepted orders to their results")],
)
def test_what_still_has_no_result_can_be_followed(awaited, told):
    (follow,) = [
        step for step in next_steps(make_job(state=JobState.FINISHED), MIXED, awaited=awaited) if "sync" in step.command
    ]
    assert follow.does == f"follow {told}"


def test_what_comes_to_no_end_by_waiting_is_not_to_be_followed():
    job = make_job(state=JobState.FINISHED)
    (named,) = [step for step in next_steps(job, MIXED, stuck=2) if "sync" in step.command]
    assert named.command == "imeiflow sync 7"
    assert named.does == "name the 2 accepted orders that no waiting ends; ask the provider about them"
    (follow,) = [step for step in next_steps(job, MIXED, awaited=1, stuck=2) if "sync" in step.command]
    assert follow.command == "imeiflow sync 7 --watch"


def test_steps_are_aligned_under_one_heading():
    lines = tell_steps(next_steps(make_job(state=JobState.RUNNING), MIXED))
    assert lines[0] == "Next:"
    assert lines[1].startswith("  imeiflow resume 7  follow it here")
    assert tell_steps([]) == []
