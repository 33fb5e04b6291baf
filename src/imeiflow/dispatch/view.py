"""What a person sees of a job that is worked on. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from imeiflow.dispatch.lane import LaneView
from imeiflow.dispatch.meter import Meter
from imeiflow.dispatch.pace import Bucket, Window
from imeiflow.dispatch.work import Work
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState
from imeiflow.domain.progress import Tally
from imeiflow.errors import LedgerError


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A moment of a job: counts, speed and why, time left, cost so far."""

    tally: Tally
    spent: Money
    probed: Money  #: what of it is for repeat probes
    calls_under_way: int
    orders_under_way: int
    chunk_size: int
    chunk_reason: str
    lane: LaneView
    calls_per_s: float
    orders_per_s: float
    left_s: float | None
    stopping: JobState | None
    stop_reason: str | None
    is_settling: bool
    blocked_s: float
    trouble: LedgerError | None
    price_problem: str = ""  #: why the price list could not be fetched again


def view_job(
    work: Work,
    *,
    lane: LaneView,
    meter: Meter,
    trouble: LedgerError | None,
    is_settling: bool,
    price_problem: str,
    now: float,
) -> JobView:
    """Make the view of one job from the engine's parts; `now` is the engine's monotonic time."""
    calls_per_s, orders_per_s = meter.rates()
    tally, (stopping, stop_reason) = work.tally, work.stop or (None, None)
    return JobView(
        tally=tally,
        spent=Money(work.spent, work.job.currency),
        probed=Money(work.probed, work.job.currency),
        calls_under_way=work.calls_under_way,
        orders_under_way=work.orders_under_way,
        chunk_size=work.chunk_size.usual,
        chunk_reason=work.chunk_size.reason,
        lane=lane,
        calls_per_s=calls_per_s,
        orders_per_s=orders_per_s,
        left_s=tally.waiting / orders_per_s if orders_per_s > 0 else None,
        stopping=stopping,
        stop_reason=stop_reason,
        is_settling=is_settling,
        blocked_s=max(0.0, lane.blocked_until - now),
        trouble=trouble,
        price_problem=price_problem,
    )


def describe_pace(lane: LaneView) -> str:
    """Say the pace in words."""
    match lane.pace:
        case None:
            return "no limit found"
        case Window(calls=calls, period_s=period):
            return f"{calls} calls in {period:.0f} s"
        case Bucket(rate=rate):
            return f"{rate:.1f} calls/s" if rate >= 1 else f"{rate * 60:.1f} calls/min"
