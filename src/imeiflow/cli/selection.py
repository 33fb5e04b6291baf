"""Which orders a command is about: options that several commands share, and the filter that they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, TypeVar

import click

from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.errors import UsageError
from imeiflow.ledger.filter import Filter, Span

F = TypeVar("F", bound=Callable[..., Any])

_STATES = [state.value for state in OrderState]
_STATUSES = [status.value for status in ResultStatus]
_DAY = timedelta(days=1)


def selection_options(function: F) -> F:
    """Add the options of a selection, passed as keyword arguments that `read_filter` takes."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def read_filter(
    *,
    states: Sequence[str],
    statuses: Sequence[str],
    service: str | None,
    accepted_from: datetime | None,
    accepted_to: datetime | None,
    completed_from: datetime | None,
    completed_to: datetime | None,
    jobs: Sequence[int] = (),
    account: str | None = None,
) -> Filter:
    """Make the filter of the options. Raises UsageError for a time that ends before it begins."""
    return Filter(
        states=frozenset(map(OrderState, states)) or None,
        statuses=frozenset(map(ResultStatus, statuses)) or None,
        jobs=tuple(map(JobId, jobs)) or None,
        service=None if service is None else ServiceId(service),
        account=None if account is None else AccountName(account),
        accepted=_read_span("accepted", accepted_from, accepted_to),
        completed=_read_span("completed", completed_from, completed_to),
    )


class _TimeType(click.ParamType[datetime, Any]):
    """A day, or a day with a time, in the local zone; as an end, a day is meant to its end."""

    name = "day"

    def __init__(self, *, is_end: bool) -> None:
        self._is_end = is_end

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read a day, or a time."""
        if isinstance(value, datetime):
            return value
        today = datetime.now().astimezone().date()
        days = {"today": today, "yesterday": today - _DAY}
        try:
            if value.lower() in days or len(value) == 10:
                day = days.get(value.lower()) or date.fromisoformat(value)
                return datetime.combine(day + _DAY if self._is_end else day, time()).astimezone(UTC)
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no day such as 2025-11-28, today, yesterday, or a time such as '2025-11-28 14:30'.",
                param,
                ctx,
            )


def _time_option(name: str, does: str, *, is_end: bool) -> Callable[[F], F]:
    return click.option(f"--{name}", type=_TimeType(is_end=is_end), metavar="DAY", help=does)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Choice(_STATES),
        metavar="STATE",
        help=f"Only in this state; may be repeated: {', '.join(_STATES)}.",
    ),
    click.option(
        "--status", "statuses", multiple=True, type=click.Choice(_STATUSES), help="Only with this status; repeatable."
    ),
    click.option("--service", metavar="ID", help="Only of this service."),
    _time_option("accepted-from", "Only accepted on this day (or time) or later.", is_end=False),
    _time_option("accepted-to", "Only accepted up to the end of this day, or before a time.", is_end=True),
    _time_option("completed-from", "Only completed or rejected on this day or later.", is_end=False),
    _time_option("completed-to", "Only completed or rejected up to the end of this day.", is_end=True),
)


def _read_span(what: str, start: datetime | None, end: datetime | None) -> Span | None:
    if start is None and end is None:
        return None
    if start is not None and end is not None and start >= end:
        raise UsageError(
            problem=f"--{what}-to lies before --{what}-from, so that nothing can match",
            remedy="Change the two, or leave one out.",
        )
    return Span(start, end)
