"""A search for limits as a table and a figure. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imeiflow.dispatch.ladder import Recommendation
from imeiflow.dispatch.step import Grade, Measured, Step, StepKind
from imeiflow.plot.figure import Figure, Limit, Mark, Panel, Series, Tone

#: Below it a time is said in milliseconds.
_SECONDS_FROM_S: Final = 0.9995
_WHOLE_FROM_S: Final = 10.0

HEADINGS: Final = ("STEP", "CALLS", "FAILED", "CALLS/S", "MEDIAN", "95%", "GRADE")


def list_cells(found: Measured) -> tuple[str, ...]:
    """Give one step's row of a table under `HEADINGS`."""
    return (
        _name_step(found),
        str(found.calls),
        f"{found.error_share:.1%}",
        f"{found.per_s:.1f}",
        _seconds(found.median_s),
        _seconds(found.p95_s),
        found.grade.value,
    )


def _name_step(found: Measured) -> str:
    step = found.step
    match step.kind:
        case StepKind.CONCURRENCY:
            return f"{step.concurrency} at once"
        case StepKind.CHECK:
            return f"{step.concurrency} at once again"
        case _:
            return f"{(step.per_s or 0) * 60:.0f} a minute"


def _label_step(step: Step) -> str:
    """Name a step in so few words that all of them fit under a plot."""
    match step.kind:
        case StepKind.CONCURRENCY:
            return f"{step.concurrency}"
        case StepKind.CHECK:
            return f"{step.concurrency} again"
        case StepKind.PACE:
            return f"{(step.per_s or 0) * 60:.0f}/min"


def _seconds(value: float | None) -> str:
    """Say how long a call takes, to three digits: a server near by answers in a millisecond."""
    if value is None:
        return "-"
    return f"{value:.2f} s" if value >= _SECONDS_FROM_S else f"{value * 1000:.3g} ms"


def _say_took(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds >= _WHOLE_FROM_S else _seconds(seconds)


def name_limits(one: Recommendation) -> str:
    """Say limits in words."""
    pace = "" if one.per_min is None else f", {one.per_min:g} calls a minute"
    calls = "call" if one.concurrency == 1 else "calls"
    return f"{one.concurrency:,} {calls} at once{pace}"


def draw_limits(
    account: str, steps: Sequence[Measured], recommendation: Recommendation | None, *, is_by_orders: bool = False
) -> Figure:
    """Draw the steps: calls a second, seconds a call, and what failed."""
    tones = {Grade.GOOD: Tone.GOOD, Grade.BORDERLINE: Tone.FAIR, Grade.TOO_MUCH: Tone.BAD}
    graded = [tones[one.grade] for one in steps]
    took = sum(one.took_s for one in steps)
    one = recommendation
    per_s = one.per_s if one is not None else None
    return Figure(
        title=f"{account}: what pace and concurrency it bears",
        subtitle=(
            f"{'orders' if is_by_orders else 'calls that only read'}, {_say_took(took)} of measuring"
            + (f"; recommended: {name_limits(one)}" if one is not None else "")
        ),
        labels=[_label_step(one.step) for one in steps],
        panels=[
            Panel(
                title="Calls a second, by calls at once",
                series=[Series(name="calls/s", values=[step.per_s for step in steps], tones=graded)],
                limits=[] if per_s is None else [Limit(per_s, "recommended pace", Tone.INK)],
            ),
            Panel(
                title="Seconds a call",
                after=" s",
                series=[
                    Series(name="median", values=[step.median_s for step in steps], mark=Mark.LINE),
                    Series(name="95%", values=[step.p95_s for step in steps], mark=Mark.LINE, tone=Tone.SECOND),
                ],
            ),
            Panel(
                title="Calls that failed: under 5% is good, above 10% too much",
                after="%",
                series=[Series(name="failed", values=[100 * step.error_share for step in steps], tones=graded)],
                limits=[Limit(10.0, "too much", Tone.BAD)],
            ),
        ],
    )
