"""`imeiflow find-limits`: what pace and concurrency does a server bear? A table, a plot, a recommendation to pin."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from imeiflow.cli.following import run_loop
from imeiflow.cli.frame import confirm, open_session
from imeiflow.cli.option import AMOUNT, account_option, command, json_option, yes_option
from imeiflow.cli.output import count, print_json, say, tell
from imeiflow.cli.program import INTERRUPTED
from imeiflow.dispatch.ladder import MIN_CALLS, Ladder
from imeiflow.dispatch.rate import per_time
from imeiflow.dispatch.step import Measured
from imeiflow.domain.ident import ServiceId
from imeiflow.domain.money import Money
from imeiflow.errors import UsageError
from imeiflow.operations.account import AccountSettings
from imeiflow.operations.json_text import clean
from imeiflow.operations.limit_figure import HEADINGS, draw_limits, list_cells, name_limits
from imeiflow.operations.limit_search import Found, LimitSearch, pin_limits, refuse_running, unpin_limits
from imeiflow.operations.session import Session
from imeiflow.operations.submit import Request, read_list

_NOT_FOUND = 4
_WIDTHS = (22, 6, 7, 8, 8, 8, 10)


@command(
    examples="""
    imeiflow find-limits                                    by calls that only read; costs nothing
    imeiflow find-limits --plot limits.html --pin
    imeiflow find-limits --orders phones.csv --service 12 --max-spend 20
    imeiflow find-limits --unpin
    """
)
@account_option
@click.option("--orders", metavar="FILE", help="Measure by ordering these IMEIs, one a call; needs --service.")
@click.option("--service", metavar="ID", help="What to order; `imeiflow services` lists the ids.")
@click.option("--max-spend", type=AMOUNT, metavar="AMOUNT", help="Never spend more on it; needed with --orders.")
@click.option("--max-concurrency", type=click.IntRange(1, 1000), metavar="N", help="Try no more calls at once.")
@click.option(
    "--calls",
    type=click.IntRange(5, 1000),
    metavar="N",
    default=MIN_CALLS,
    show_default=True,
    help="At least so many calls a step.",
)
@click.option(
    "--rest", type=click.FloatRange(0, 600), metavar="S", default=5.0, show_default=True, help="Seconds between steps."
)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Keep a plot as .png, .html or .svg.")
@click.option("--pin", is_flag=True, help="Let the lane never go above what is recommended.")
@click.option("--unpin", is_flag=True, help="Let the lane find its limits by itself again; measure nothing.")
@yes_option
@json_option
def find_limits(
    *,
    account: str | None,
    orders: str | None,
    service: str | None,
    max_spend: Decimal | None,
    max_concurrency: int | None,
    calls: int,
    rest: float,
    plot: Path | None,
    pin: bool,
    unpin: bool,
    is_sure: bool,
    is_json: bool,
) -> int:
    """Measure what pace and concurrency a server bears, step by step, and recommend limits.

    Calls only read (the balance) unless you give orders to place. Steps grow until one is too much: under 5% of calls
    that fail are good, up to 10% borderline. A time to wait is obeyed; a ban ends it at once. It takes some minutes
    and has the account to itself. Ends with 4 where nothing could be recommended.
    """
    _check(orders, service, max_spend, plot)
    with open_session() as session:
        chosen = session.configuration.choose_account(account)
        if unpin:
            say(
                "The lane finds its limits by itself again." if unpin_limits(session, chosen) else "Nothing was pinned."
            )
            return 0
        refuse_running(session, chosen)
        rate = chosen.rate_per_min
        ceiling = min(max_concurrency or chosen.max_concurrency, chosen.max_concurrency)
        ladder = Ladder(ceiling=ceiling, per_s=None if rate is None else rate / 60, calls=calls, rest_s=rest)
        search = LimitSearch(session, chosen, ladder, on_step=_tell_step(is_json=is_json))
        if orders is None:
            found = _run(search, search.by_reading, is_json=is_json)
        else:
            request = Request(
                source=Path(orders),
                service=ServiceId(service or ""),
                account=chosen.name,
                name="find-limits",
                max_spend=max_spend,
                chunk_size=1,
            )
            ordered = _order(session, search, request, is_sure=is_sure, is_json=is_json)
            if ordered is None:
                say("Nothing was ordered.")
                return 0
            found = ordered
        return _report(session, chosen, found, plot=plot, is_pinned=pin, is_json=is_json)


def _check(orders: str | None, service: str | None, max_spend: Decimal | None, plot: Path | None) -> None:
    if orders is not None and (service is None or max_spend is None):
        raise UsageError(
            problem="--orders places paid orders: it needs --service and --max-spend",
            remedy="Say what is ordered, and what may be spent on it.",
        )
    if plot is not None:
        from imeiflow.plot.page import check_plot_path

        check_plot_path(plot)


def _order(session: Session, search: LimitSearch, request: Request, *, is_sure: bool, is_json: bool) -> Found | None:
    """Ask, and search by orders; None where the answer was no."""
    draft, proposal = read_list(session, request)
    with draft:
        valid = count(proposal.preview.valid, "IMEI")
        price = "at a price that is not known" if proposal.price is None else f"at {proposal.price} each"
        cap = Money(request.max_spend or Decimal(0), "" if proposal.price is None else proposal.price.currency)
        say(f"Up to {valid} will be ordered, one a call, {price}, until the limits are found or {cap} is spent.")
        say("What is left waits in a paused job.")
        if not confirm("Order them?", action="measuring by orders", is_sure=is_sure):
            return None
        draft.start(proposal)
        try:
            return _run(search, lambda: search.by_ordering(draft.job), is_json=is_json)
        finally:
            draft.lock.release()


def _run(search: LimitSearch, begin: Callable[[], Coroutine[Any, Any, Found]], *, is_json: bool) -> Found:
    """Run a search; Ctrl-C lets calls under way end."""
    say("Measuring; Ctrl-C ends it, and what was found until then is shown.")
    if not is_json:
        click.echo(_lay_out(HEADINGS))

    async def run() -> Found:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, search.interrupt)
        return await begin()

    return run_loop(run())


def _tell_step(*, is_json: bool) -> Callable[[Measured], None]:
    def say_step(found: Measured) -> None:
        click.echo(_lay_out(list_cells(found)), err=is_json)

    return say_step


def _lay_out(cells: tuple[str, ...]) -> str:
    first, *others = zip(cells, _WIDTHS, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def _report(
    session: Session, account: AccountSettings, found: Found, *, plot: Path | None, is_pinned: bool, is_json: bool
) -> int:
    recommendation = found.recommendation
    can_pin = is_pinned and recommendation is not None
    if can_pin and recommendation is not None:
        pin_limits(session, account, recommendation)
    if is_json:
        print_json(_as_values(account, found, is_pinned=can_pin))
    else:
        tell(_describe(found, is_pinned=can_pin))
    if plot is not None and found.steps:
        _save(plot, account, found, is_pinned=can_pin)
        say(f"The plot is in {plot}.")
    if found.was_interrupted:
        return INTERRUPTED
    return 0 if recommendation is not None else _NOT_FOUND


def _describe(found: Found, *, is_pinned: bool) -> Iterator[str]:
    yield f"Ended: {clean(found.end_reason)}."
    recommendation = found.recommendation
    if recommendation is None:
        yield "Nothing can be recommended: no step was good."
    else:
        yield f"Recommended: {name_limits(recommendation)}."
        yield f"  {recommendation.reason}"
        if recommendation.per_s is None and found.steps:
            most = max(one.per_s for one in found.steps)
            yield f"  No limit of pace was met: {per_time(most)} was the most."
        if is_pinned:
            yield "  It is pinned: the lane goes no higher. `imeiflow find-limits --unpin` takes it back."
        else:
            yield "  `--pin` makes the lane keep to it. You need not: it finds limits by itself."
    if found.job is None:
        yield "Measured by calls that only read: orders may be slower, and be limited otherwise."
    else:
        yield f"The orders are those of job {found.job}: `imeiflow show {found.job}`."


def _as_values(account: AccountSettings, found: Found, *, is_pinned: bool) -> dict[str, object]:
    one = found.recommendation
    return {
        "account": account.name,
        "job": found.job,
        "steps": [
            {
                "kind": step.step.kind.value,
                "concurrency": step.step.concurrency,
                "per_s_wanted": step.step.per_s,
                "calls": step.calls,
                "failed": step.errors,
                "error_share": round(step.error_share, 4),
                "per_s": round(step.per_s, 3),
                "median_s": None if step.median_s is None else round(step.median_s, 6),
                "p95_s": None if step.p95_s is None else round(step.p95_s, 6),
                "grade": step.grade.value,
                "seconds": round(step.took_s, 3),
            }
            for step in found.steps
        ],
        "ended": found.end_reason,
        "banned": found.is_banned,
        "recommended": None
        if one is None
        else {"concurrency": one.concurrency, "per_min": one.per_min, "reason": one.reason},
        "pinned": is_pinned,
    }


def _save(path: Path, account: AccountSettings, found: Found, *, is_pinned: bool) -> None:
    from imeiflow.plot.page import save_plot

    rows = [list_cells(one) for one in found.steps]
    notes = list(_describe(found, is_pinned=is_pinned))
    save_plot(
        path,
        draw_limits(account.name, found.steps, found.recommendation, is_by_orders=found.job is not None),
        headings=[name.capitalize() for name in HEADINGS],
        rows=rows,
        notes=notes,
    )
