"""A moment of fetching statuses: a live picture in a terminal, a line now and then anywhere else. Decides nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from imeiflow.cli.output import count, cut, say, show_seconds
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.status import StatusAnomalyKind
from imeiflow.operations.json_text import clean
from imeiflow.operations.status_tally import MOST_STUCK, StatusTally

if TYPE_CHECKING:
    from rich.console import RenderableType

    from imeiflow.operations.sync import Asking, Synced, SyncProgress

_LINE_EVERY_S = 10.0
_NAMED = 10

#: The statuses in the order in which they are told, with what they mean; None: nothing was heard yet.
_TOLD: dict[ResultStatus | None, tuple[str, str]] = {
    ResultStatus.COMPLETED: ("completed", "the result is there"),
    ResultStatus.REJECTED: ("rejected", "the provider could not do it"),
    ResultStatus.IN_PROCESS: ("in process", "the provider works on it"),
    ResultStatus.PENDING: ("pending", "the provider has not begun"),
    None: ("not heard of", "the provider has said no status yet"),
}
#: What a label is in a line, where a value does not say by itself what it is about.
_JOINED = {"asked by": "asked by ", "next": "next "}


class SyncDisplay(Protocol):
    """Shows how far the results are."""

    def show(self, progress: SyncProgress) -> None:
        """Show a moment."""

    def close(self) -> None:
        """Take the picture away."""


def open_sync_display(*, watches: bool) -> SyncDisplay:
    """Choose how progress is shown on standard error."""
    from imeiflow.cli.display import LiveDisplay, has_live_terminal

    if has_live_terminal(sys.stderr):
        return LiveDisplay(draw=draw_sync)
    return PlainSyncDisplay(every_s=_LINE_EVERY_S if watches else 2.0)


class PlainSyncDisplay:
    """A line when something has changed or was asked for, at most every few seconds."""

    def __init__(
        self,
        *,
        every_s: float = _LINE_EVERY_S,
        write: Callable[[str], None] = say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every_s = every_s
        self._write = write
        self._clock = clock
        self._written_at: float | None = None
        self._state: object = None
        self._urgent: object = None

    def show(self, progress: SyncProgress) -> None:
        """Write a line when it is time for one, and at once when somebody else asks or nobody can."""
        now = self._clock()
        urgent = (
            tuple(one.owner for one in progress.askings if one.owner),
            _trouble(progress),
            progress.tally.stuck > 0,
        )
        asked = sum(one.view.asked for one in progress.askings if one.view is not None)
        state = (dict(progress.tally.counts), progress.anomalies, asked)
        is_time = self._written_at is None or now - self._written_at >= self._every_s
        if urgent == self._urgent and (not is_time or state == self._state):
            return
        self._written_at, self._state, self._urgent = now, state, urgent
        self._write(f"{time.strftime('%H:%M:%S')} {describe_sync(progress)}")

    def close(self) -> None:
        """Do nothing: what was written stays."""


def tell_statuses(tally: StatusTally) -> Iterator[str]:
    """Say the counts by status, a line each."""
    width = max(len(f"{number:,}") for number in [*tally.counts.values(), tally.lost, tally.unknown, tally.unusable])
    for status, (name, means) in _TOLD.items():
        if tally[status]:
            yield f"  {tally[status]:>{width},} {name:<13} {means}"
    if tally.unknown:
        yield f"  {tally.unknown:>{width},} of them        the provider does not know: it was asked several times"
    if tally.unusable:
        yield f"  {tally.unusable:>{width},} of them        cannot be told: what the provider says of them does not fit"
    if tally.lost:
        yield f"  {tally.lost:>{width},} of them        cannot be followed: no reply named a reference"


def tell_synced(synced: Synced) -> Iterator[str]:
    """Say what the statuses are now, what did not fit, and what to do next."""
    tally = synced.tally
    name = f"Job {synced.jobs[0]}" if len(synced.jobs) == 1 else f"{len(synced.jobs):,} jobs"
    if not tally.total:
        yield "Nothing is followed: no accepted order waits for its result."
        return
    yield f"{name}: {_tell_verdict(tally)}."
    yield from tell_statuses(tally)
    for kind, number in synced.anomalies.items():
        fresh = synced.fresh.get(kind, 0)
        yield f"  {number:,} × {kind.sentence}" + (f" ({fresh:,} new)" if 0 < fresh < number else "")
    if fresh := synced.fresh.get(StatusAnomalyKind.UNASKED, 0):
        yield f"  {fresh:,} × {StatusAnomalyKind.UNASKED.sentence}"
    for account, reason in synced.reasons.items():
        yield f"Why it ended: account {account}: {reason}"
    yield from _tell_stuck(synced)
    yield from _tell_next(synced)


def _tell_verdict(tally: StatusTally) -> str:
    if not tally.open:
        return "all is final"
    left = f"{tally.open:,} of {tally.total:,} orders"
    if tally.open > tally.stuck:
        return f"{left} are not final yet"
    return f"all is final that can be; {left} {'is' if tally.open == 1 else 'are'} left"


def _tell_stuck(synced: Synced) -> Iterator[str]:
    """Name the orders that come to no end by waiting, and say why."""
    if not synced.stuck:
        return
    yield "Waiting ends none of these:"
    for one in synced.stuck[:_NAMED]:
        what = f"line {one.line}" if one.imei is None else f"IMEI {one.imei}"
        job = f"job {one.job}, " if len(synced.jobs) > 1 else ""
        said = f" ({cut(clean(one.detail), 60)})" if one.detail else ""
        yield f"  {job}{what}, reference {clean(one.reference)}: {one.kind.sentence}{said}"
    rest = synced.tally.stuck - _NAMED
    if rest > 0:
        yield f"  and {count(rest, 'other')}: `imeiflow sync --json` names the first {MOST_STUCK}"


def _tell_next(synced: Synced) -> Iterator[str]:
    tally, one = synced.tally, synced.jobs[0] if len(synced.jobs) == 1 else None
    job = "" if one is None else f" {one}"
    if tally.open > tally.stuck:
        when = tell_when(synced.next_due_at, synced.now)
        yield f"Next: imeiflow sync{job} --watch    follows until all is final" + (f"; due {when}" if when else "")
    elif tally.open:
        yield "Next: ask the provider about these references"
        yield f"Next: imeiflow sync{job}    asks again when it has put them right"
    if tally.final and one is not None:
        yield f"Next: imeiflow export {one} -o results.csv    your list with the results"


def tell_when(at: datetime | None, now: datetime) -> str:
    """Say when something is due; empty where that is not known."""
    if at is None:
        return ""
    wait_s = (at - now).total_seconds()
    return "now" if wait_s <= 0.5 else f"in {show_seconds(wait_s)}"


def describe_counts(tally: StatusTally) -> str:
    """Say the counts by status in one line."""
    told = [f"{tally[status]:,} {name}" for status, (name, _) in _TOLD.items() if tally[status]]
    return " · ".join(told) + f" = {count(tally.total, 'order')}" if told else "no accepted orders"


def describe_sync(progress: SyncProgress) -> str:
    """Say a moment in one line."""
    tally = progress.tally
    parts = [f"{_percent(tally)}% final", describe_counts(tally)]
    parts += [_JOINED.get(label, "") + value for label, value in _describe_asking(progress)]
    return f"{_name(progress)}: " + "; ".join(part for part in parts if part)


def draw_sync(progress: SyncProgress, width: int) -> RenderableType:
    """Lay a moment out for a terminal of so many columns."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    tally = progress.tally
    done = f" {_percent(tally):3}%"
    bar = Table.grid(padding=0)
    bar.add_column(width=max(10, min(60, width - len(done) - 1)))
    bar.add_column(no_wrap=True)
    bar.add_row(ProgressBar(total=1.0, completed=_share(tally)), done)
    body = Table.grid(padding=(0, 1), expand=False)
    body.add_column(width=9, no_wrap=True, style="dim")
    body.add_column(overflow="fold")
    for label, value in _describe_asking(progress):
        body.add_row(label, Text(value, style="yellow" if label in {"trouble", "odd"} else ""))
    title = f"{_name(progress)}: results, for {show_seconds(progress.elapsed_s)}"
    return Group(Text(cut(title, width), style="bold"), bar, Text(describe_counts(tally)), body)


def _name(progress: SyncProgress) -> str:
    jobs = progress.jobs
    return f"Job {jobs[0]}" if len(jobs) == 1 else count(len(jobs), "job")


def _share(tally: StatusTally) -> float:
    return tally.final / tally.total if tally.total else 1.0


def _percent(tally: StatusTally) -> int:
    """Give the final share in whole percent, rounded down: 100 only where all is final."""
    return tally.final * 100 // tally.total if tally.total else 100


def _describe_asking(progress: SyncProgress) -> Iterator[tuple[str, str]]:
    """Say who asks, how fast, when next, and what does not fit."""
    for one in progress.askings:
        if one.owner is not None:
            yield "asked by", f"{clean(one.owner)}, which has the lane of {one.account}; this one looks on"
        elif one.view is not None:
            yield "asking", _describe_speed(one)
    when = tell_when(progress.next_due_at, progress.now)
    if when and progress.tally.open:
        yield "next", f"poll {when}"
    if progress.tally.unknown:
        yield "odd", f"{progress.tally.unknown:,} are not known to the provider"
    if progress.tally.unusable:
        yield "odd", f"of {progress.tally.unusable:,} nothing can be used that the provider says"
    if progress.anomalies:
        yield "odd", f"{count(progress.anomalies, 'anomaly', 'anomalies')}: see `imeiflow show`"
    trouble = _trouble(progress)
    if trouble:
        yield "trouble", trouble
    if progress.interruptions:
        yield "", "leaving: calls under way end first"


def _describe_speed(one: Asking) -> str:
    view = one.view
    if view is None:
        return ""
    asked = f"{count(view.asked, 'order')} asked for in {count(view.calls, 'call')}"
    speed = f"{view.orders_per_s:,.0f} orders/s, {view.calls_per_s:,.1f} calls/s, {view.ids_per_call} a call"
    return f"{asked}; {speed}"


def _trouble(progress: SyncProgress) -> str:
    troubles = (one.view.halted or one.view.trouble for one in progress.askings if one.view is not None)
    return "; ".join(clean(trouble) for trouble in troubles if trouble)
