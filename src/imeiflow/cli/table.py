"""Rows of tables that several commands print."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from imeiflow.cli.output import show_time
from imeiflow.domain.order import OrderState
from imeiflow.domain.progress import Summary
from imeiflow.operations.json_text import clean

JOB_HEADINGS: Final = ("JOB", "STATE", "CREATED", "ROWS", "ACCEPTED", "WAITING", "IN DOUBT", "SPENT", "NAME")
JOB_RIGHT: Final = (0, 3, 4, 5, 6, 7)  #: columns of numbers


def make_job_row(summary: Summary, created_at: datetime, unit_price: Decimal | None, name: str) -> tuple[str, ...]:
    """Give the row of a job in a list of jobs."""
    tally = summary.tally
    return (
        str(summary.job),
        summary.state.value,
        show_time(created_at),
        f"{tally.total:,}",
        f"{tally[OrderState.ACCEPTED]:,}",
        f"{tally.waiting:,}",
        f"{tally[OrderState.UNCONFIRMED]:,}",
        "-" if unit_price is None else str(summary.spent),
        clean(name),
    )
