"""A moment of a job, in words: what the progress display shows, whatever it is drawn with. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from imeiflow.cli.output import count, show_seconds
from imeiflow.cli.state import count_states, name_state
from imeiflow.dispatch.view import JobView, describe_pace
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.progress import Tally, whole_percent
from imeiflow.operations.follow import Progress
from imeiflow.operations.json_text import clean


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the display: what it is about, the value, and why."""

    label: str
    value: str
    why: str = ""
    is_warning: bool = False


def share_done(progress: Progress) -> float:
    """Give the share that is done of what is to be done, from 0 to 1; what is being settled is not done yet.

    Of a job that is cancelled, or about to be, it is the share of the whole list.
    """
    tally, view = progress.tally, progress.view
    cancelled = tally[OrderState.CANCELLED]
    ends = JobState.CANCELLED in {progress.job.state, progress.job.wanted, None if view is None else view.stopping}
    whole = tally.to_place - (0 if ends else cancelled)
    return (tally.to_place - cancelled - _count_open(progress)) / whole if whole else 1.0


def show_share(progress: Progress) -> str:
    """Say the share that is done; never 100% before all of it is."""
    return f"{whole_percent(share_done(progress))}%"


def _count_open(progress: Progress) -> int:
    """Count the orders that something will still happen to by itself."""
    is_settling = progress.view is not None and progress.view.is_settling
    return progress.tally.waiting + (progress.tally[OrderState.UNCONFIRMED] if is_settling else 0)


def describe_moment(progress: Progress) -> list[Line]:
    """Say how far a job is, how fast it goes and why, and what it has cost."""
    view = progress.view
    lines = [Line("", describe_counts(progress.tally))]
    if view is not None:
        lines += _describe_lane(view)
    cost = describe_cost(progress)
    if cost:
        lines.append(Line("spent", cost))
    return lines + _describe_state(progress)


def describe_counts(tally: Tally) -> str:
    """Say the counts by state, and their sum."""
    told = " · ".join(f"{number:,} {name_state(state)}" for state, number in count_states(tally))
    return f"{told} = {count(tally.total, 'row')}" if told else "no rows"


def describe_left(progress: Progress) -> str:
    """Say how long it will still take, as far as can be told."""
    view, left = progress.view, _count_open(progress)
    if view is None or not left or view.stopping is not None:
        return ""
    if not view.orders_per_s:
        return "time left not known yet"
    return f"{show_seconds(left / view.orders_per_s)} left"


def describe_cost(progress: Progress) -> str:
    """Say what was spent, of how much, and what is at stake in doubt; empty where no price is known."""
    job, tally = progress.job, progress.tally
    price = job.price
    if price is None or progress.spent is None:
        return ""
    text = f"{progress.spent} of at most {price * (tally.to_place - tally[OrderState.CANCELLED])}"
    if progress.probed is not None and progress.probed.amount:
        text += f" for the list and {progress.probed} for repeat probes"
    if tally[OrderState.UNCONFIRMED]:
        text += f", and up to {price * tally[OrderState.UNCONFIRMED]} in doubt"
    if job.max_spend is not None:
        text += f"; cap {Money(job.max_spend, job.currency)}"
    return text


def describe_line(progress: Progress) -> str:
    """Say a moment in one line, for logs and pipes."""
    tally, view = progress.tally, progress.view
    parts = [show_share(progress), describe_counts(tally)]
    if view is not None:
        parts.append(f"{view.orders_per_s:,.0f} orders/s, {view.calls_per_s:,.1f} calls/s")
        parts.append(f"{view.chunk_size} a call, {view.lane.concurrency} at once, pace: {describe_pace(view.lane)}")
    cost = describe_cost(progress)
    parts += [
        describe_left(progress),
        f"spent {cost}" if cost else "",
        *(line.value for line in _describe_state(progress)),
    ]
    return f"job {progress.job.id}: " + "; ".join(part for part in parts if part)


def describe_ending(progress: Progress) -> str:
    """Say honestly what pausing or cancelling still costs; empty where neither was asked."""
    view, tally = progress.view, progress.tally
    asked = view is not None and view.stopping is not None
    if not asked and not progress.interruptions and progress.job.wanted is None:
        return ""
    if progress.is_watching and progress.interruptions:
        return "leaving; the job goes on"
    stopping = view.stopping if view is not None else progress.job.wanted
    verb = "cancelling" if stopping is JobState.CANCELLED else "pausing"
    orders = tally[OrderState.SENDING]
    if view is not None and view.calls_under_way:
        under_way = f"{count(view.calls_under_way, 'call')} with {count(view.orders_under_way, 'order')}"
    elif orders:
        under_way = count(orders, "order")
    else:
        return f"{verb}: nothing is under way any more"
    is_one = (view.calls_under_way if view is not None and view.calls_under_way else orders) == 1
    return f"{verb}: {under_way} {'is' if is_one else 'are'} under way, and will still be charged"


def _describe_lane(view: JobView) -> list[Line]:
    lane = view.lane
    speed = f"{view.calls_per_s:,.1f} calls/s, {view.orders_per_s:,.0f} orders/s"
    return [
        Line("speed", speed, lane.reason),
        Line("a call", count(view.chunk_size, "order"), view.chunk_reason),
        Line("at once", f"{lane.in_flight} of {lane.concurrency}", lane.concurrency_reason),
        Line("pace", describe_pace(lane), "" if lane.pace is None else lane.pace_reason),
    ]


def _describe_state(progress: Progress) -> list[Line]:
    """Say what is out of the ordinary."""
    view, lines = progress.view, []
    ending = describe_ending(progress)
    if ending:
        why = (
            "Ctrl-C again leaves at once: what is under way becomes unconfirmed" if progress.interruptions == 1 else ""
        )
        if view is not None and view.stop_reason and not progress.interruptions:
            why = view.stop_reason
        lines.append(Line("note", ending, why, is_warning=True))
    if view is None and progress.owner is not None:
        why = (
            "this follows it; left, it goes on there"
            if progress.is_remote
            else "this follows it, and takes over if it ends"
        )
        lines.append(Line("note", f"worked on by {progress.owner}", why))
    if view is None:
        return lines
    if view.trouble is not None:
        lines.append(Line("note", f"waiting: {view.trouble}", view.trouble.remedy, is_warning=True))
    if view.price_problem:
        what = f"the price list could not be fetched again: {clean(view.price_problem)}"
        lines.append(Line("note", what, "it goes on at the confirmed price", is_warning=True))
    if view.blocked_s > 0:
        lines.append(Line("note", f"silent for {show_seconds(view.blocked_s)}", view.lane.pace_reason, is_warning=True))
    if view.is_settling:
        doubts = view.tally[OrderState.UNCONFIRMED] + view.tally[OrderState.SENDING]
        what = f"settling doubt: {count(doubts, 'order')} may have been placed"
        lines.append(Line("note", what, "each is asked about alone, and nothing is repeated on a guess"))
    return lines
