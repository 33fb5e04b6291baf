"""`jobs`, `show`, `pause`, `cancel`, `retry`, `resume` of a server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from imeiflow.cli.detail import tell_job
from imeiflow.cli.frame import confirm_cancel
from imeiflow.cli.output import print_json, print_json_list, print_table, say, tell
from imeiflow.cli.remote.following import find_detail, follow_through, report_end
from imeiflow.cli.remote.submit import leave_running
from imeiflow.cli.resume import ask_for_price, say_stale_prices
from imeiflow.cli.retry import Retry, Rise, StopTeller, confirm_retry, tell_left_alone
from imeiflow.cli.table import JOB_HEADINGS, JOB_RIGHT, make_job_row
from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.operations.job_detail import describe_job
from imeiflow.operations.steering import RETRIED
from imeiflow.remote.client import Client, page_size
from imeiflow.remote.reading import ListedJob, read_listed, read_summary

_LOOK_EVERY_S: Final = 0.5


def list_remotely(
    client: Client, state: str | None, account: str | None, limit: int | None, *, is_json: bool, most: int, empty: str
) -> None:
    """List a server's jobs; `most` are shown where no limit is given."""
    wanted = limit or (0 if is_json else most)
    size, older = page_size(wanted), 0

    def ask_page(cursor: Any) -> Any:
        nonlocal older
        page = client.get("/jobs", state=state, account=account, limit=size, cursor=cursor)
        older = page["older"] + len(page["jobs"])
        return page

    def list_jobs() -> Iterator[ListedJob]:
        nonlocal older
        for one in client.pages("jobs", ask_page, most=wanted):
            older -= 1  # of those behind the page's begin, all that were given are gone
            yield read_listed(one)

    if is_json:
        print_json_list(one.summary.as_dict() for one in list_jobs())
        return
    rows = [make_job_row(one.summary, one.created_at, one.unit_price, one.name) for one in list_jobs()]
    print_table(JOB_HEADINGS, rows, right=JOB_RIGHT, empty=empty)
    if older:
        say(f"{older:,} older ones are not shown: see --limit.")


def show_remotely(client: Client, job: JobId, *, is_json: bool) -> None:
    """Show a server's job."""
    detail = find_detail(client, job, has_findings=True)
    if is_json:
        print_json(describe_job(detail))
        return
    tell(tell_job(detail))


def pause_remotely(client: Client, job: JobId, *, is_json: bool) -> int:
    """Pause a server's job."""
    return _stop(client, job, "pause", "pausing", is_json=is_json)


def cancel_remotely(client: Client, job: JobId, *, is_sure: bool, is_json: bool) -> int:
    """Cancel what a server's job has not sent yet."""
    waiting = find_detail(client, job).summary.tally[OrderState.QUEUED]
    if not confirm_cancel(job, waiting, is_sure=is_sure):
        return 0
    return _stop(client, job, "cancel", "cancelling", is_json=is_json)


def retry_remotely(
    client: Client,
    job: JobId,
    states: tuple[str, ...],
    *,
    is_again: bool,
    is_sure: bool,
    is_detached: bool,
    is_json: bool,
) -> int:
    """Send again what was refused or failed in a server's job."""
    plan = client.get(f"/jobs/{job}/retry", states=list(states) or None, again="true" if is_again else None)
    asked = Retry(
        job=job,
        counts=plan["by_state"],
        cost=None if plan["cost"] is None else Money(Decimal(plan["cost"]), plan["currency"]),
        elsewhere={other["job"]: other["count"] for other in plan["elsewhere"]},
        waiting=plan["waiting"],
    )
    if not tell_left_alone(asked, states or RETRIED):
        if is_json:
            print_json(find_detail(client, job).summary.as_dict())
        return 0
    rise = None
    if plan["price_change"] and plan["price"]:
        rise = Rise(change=plan["price_change"], cost="", price=Money(Decimal(plan["price"]), plan["currency"]))
    if not confirm_retry(asked, rise, is_sure=is_sure):
        return 0
    body: dict[str, Any] = {"again": is_again, "max_count": asked.count}
    body |= {"states": list(states)} if states else {}
    if plan["price"] and not (is_sure and rise is not None):  # whoever said --yes has not seen that it has risen
        body["max_price"] = str(plan["price"])
    client.act(f"/jobs/{job}/retry", body)
    return leave_running(client, job, is_json=is_json) if is_detached else follow_through(client, job, is_json=is_json)


def resume_remotely(
    client: Client,
    job: JobId,
    *,
    max_spend: Decimal | None,
    accept_price: Decimal | None,
    probe_up_to: Decimal | None,
    is_detached: bool,
    is_json: bool,
) -> int:
    """Let a server's job go on; where its price has risen, ask first."""
    rise = _look_at_price(client, job)
    if accept_price is None and rise is not None:
        accept_price = ask_for_price(rise)
    amounts = {"max_spend": max_spend, "accept_price": accept_price, "probe_up_to": probe_up_to}
    body = {name: str(amount) for name, amount in amounts.items() if amount is not None}
    summary = read_summary(client.act(f"/jobs/{job}/resume", body))
    if summary.state is not JobState.RUNNING:
        say(f"There is nothing left to do for job {job}.")
        return report_end(client, job, is_json=is_json)
    return leave_running(client, job, is_json=is_json) if is_detached else follow_through(client, job, is_json=is_json)


def _look_at_price(client: Client, job: JobId) -> Rise | None:
    """Ask for today's price of a job; None where it has not risen."""
    told = client.get(f"/jobs/{job}/resume")
    if told["price_problem"]:
        say_stale_prices(told["price_problem"])
    if told["price_now"] is None:
        return None
    price = Money(Decimal(told["price_now"]), told["currency"])
    return Rise(change=told["change"], cost=told["cost"], price=price)


def _stop(client: Client, job: JobId, action: str, verb: str, *, is_json: bool) -> int:
    """Ask for an end, and wait until no call is under way any more; it ends all the same if we leave."""
    summary = read_summary(client.act(f"/jobs/{job}/{action}"))
    if summary.state is JobState.RUNNING:
        teller = StopTeller(job, verb)
        while summary.state is JobState.RUNNING:
            teller.tell(summary.tally)
            time.sleep(_LOOK_EVERY_S)
            summary = find_detail(client, job).summary
    report_end(client, job, is_json=is_json)
    return 0
