"""A moment of fetching statuses, in one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from imeiflow.cli.watching import PlainSyncDisplay, describe_sync, draw_sync
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import ResultStatus
from imeiflow.operations.status_tally import StatusTally
from imeiflow.operations.sync import Asking, SyncProgress

NOW = datetime(2025, 6, 1, tzinfo=UTC)


def make_progress(completed: int, pending: int, *askings: Asking) -> SyncProgress:
    return SyncProgress(
        jobs=(JobId(7),),
        tally=StatusTally({ResultStatus.COMPLETED: completed, ResultStatus.PENDING: pending}, open=pending),
        askings=askings,
        next_due_at=NOW + timedelta(seconds=4),
        now=NOW,
        anomalies=0,
        elapsed_s=1.0,
        interruptions=0,
    )


@pytest.mark.parametrize(
    ("completed", "pending", "share"), [(0, 3, "0%"), (1994, 6, "99%"), (29, 71, "29%"), (2000, 0, "100%")]
)
def test_all_is_final_only_where_nothing_is_left(completed: int, pending: int, share: str):
    assert describe_sync(make_progress(completed, pending)).startswith(f"Job 7: {share} final; ")


def test_whoever_asks_instead_is_named_in_a_sentence():
    told = describe_sync(make_progress(0, 3, Asking(account="shop", owner="process 9 (imeiflow serve)", view=None)))
    assert "; asked by process 9 (imeiflow serve), which has the lane of shop; this one looks on; next poll in" in told


def test_when_the_next_poll_is_due_is_said_once():
    progress = make_progress(0, 3)
    assert describe_sync(progress).endswith("; next poll in 4.0 s")
    console = Console(width=80, record=True, file=StringIO())
    console.print(draw_sync(progress, 80))
    (line,) = [line for line in console.export_text().splitlines() if "poll" in line]
    assert line.split() == ["next", "poll", "in", "4.0", "s"]


def test_a_line_is_not_written_twice_where_nothing_but_who_asks_was_found_out():
    written: list[str] = []
    display = PlainSyncDisplay(write=written.append, clock=lambda: 0.0)
    display.show(make_progress(0, 3))
    display.show(make_progress(0, 3, Asking(account="shop", owner=None, view=None)))
    assert len(written) == 1
    display.show(make_progress(0, 3, Asking(account="shop", owner="process 9", view=None)))
    assert len(written) == 2
