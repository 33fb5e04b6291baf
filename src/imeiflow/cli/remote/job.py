"""`jobs`, `show`, `pause`, `cancel`, `retry`, `resume` of a server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from imeiflow.cli.detail import tell_job
from imeiflow.cli.frame import confirm, confirm_cancel
from imeiflow.cli.output import count, print_json, print_json_list, print_table, say, tell
from imeiflow.cli.remote.following import find_detail, follow_through, report_end
from imeiflow.cli.remote.submit import leave_running
from imeiflow.cli.table import JOB_HEADINGS, JOB_RIGHT, make_job_row
from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.progress import Summary
from imeiflow.operations.job_detail import describe_job
from imeiflow.remote.client import Client, page_size
from imeiflow.remote.reading import read_listed, read_summary

_LOOK_EVERY_S: Final = 0.5


def list_remotely(
    client: Client, state: str | None, account: str | None, limit: int | None, *, is_json: bool, most: int, empty: str
) -> None:
    """List a server's jobs; `most` are shown where no limit is given."""
    wanted = limit or (0 if is_json else most)
    size = page_size(wanted + 1 if wanted else 0)

    def ask_page(cursor: Any) -> Any:
        return client.get("/jobs", state=state, account=account, limit=size, cursor=cursor)

    found = (read_listed(one) for one in client.pages("jobs", ask_page, most=wanted + 1 if wanted else 0))
    if is_json:
        print_json_list(one.summary.as_dict() for one in (islice(found, wanted) if wanted else found))
        return
    listed = list(found)
    rows = [make_job_row(one.summary, one.created_at, one.unit_price, one.name) for one in listed[:wanted]]
    print_table(JOB_HEADINGS, rows, right=JOB_RIGHT, empty=empty)
    if len(listed) > wanted:
        say("Older ones are not shown: see --limit.")


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
    for other in plan["elsewhere"]:
        were = "was ordered" if other["count"] == 1 else "were ordered"
        told = f"{count(other['count'], 'IMEI')} {were} by job {other['job']} since, and left alone"
        say(f"{told}; --again sends also those.")
    if not plan["count"]:
        more = " other" if plan["elsewhere"] else ""
        chosen = " or ".join(sorted(states or ("failed", "refused")))
        say(f"Job {job} has no{more} orders that are {chosen}: nothing was sent.")
        if is_json:
            print_json(find_detail(client, job).summary.as_dict())
        return 0
    if not confirm(_ask_retry(job, plan), action="sending orders again", is_sure=is_sure):
        say("Nothing was sent.")
        return 0
    body = {
        "again": is_again,
        "max_count": plan["count"],
        **({} if is_sure and plan["price_change"] else _bound(plan["price"])),  # whoever said --yes has not seen it
        **({"states": list(states)} if states else {}),
    }
    client.act(f"/jobs/{job}/retry", body)
    return leave_running(client, job, is_json=is_json) if is_detached else follow_through(client, job, is_json=is_json)


def resume_remotely(
    client: Client,
    job: JobId,
    *,
    max_spend: Decimal | None,
    accept_price: Decimal | None,
    is_detached: bool,
    is_json: bool,
) -> int:
    """Let a server's job go on."""
    amounts = {"max_spend": max_spend, "accept_price": accept_price}
    body = {name: str(amount) for name, amount in amounts.items() if amount is not None}
    summary = read_summary(client.act(f"/jobs/{job}/resume", body))
    if summary.state is not JobState.RUNNING:
        say(f"There is nothing left to do for job {job}.")
        return report_end(client, job, is_json=is_json)
    return leave_running(client, job, is_json=is_json) if is_detached else follow_through(client, job, is_json=is_json)


def _bound(price: Decimal | None) -> dict[str, str]:
    """Say what one order may cost at most: what was shown."""
    return {"max_price": str(price)} if price else {}


def _ask_retry(job: JobId, plan: Mapping[str, Any]) -> str:
    told = " and ".join(f"{number:,} {state}" for state, number in plan["by_state"].items())
    is_known = plan["cost"] is not None
    cost = f"at most {Money(Decimal(plan['cost']), plan['currency'])}" if is_known else "at a price that is not known"
    if plan["price_change"] and is_known:
        cost += f" ({plan['price_change']})"
    also = f" The job then also sends the {plan['waiting']:,} that still wait." if plan["waiting"] else ""
    return f"Send {told} {'order' if plan['count'] == 1 else 'orders'} of job {job} again, {cost}?{also}"


def _stop(client: Client, job: JobId, action: str, verb: str, *, is_json: bool) -> int:
    """Ask for an end, and wait until no call is under way any more; it ends all the same if we leave."""
    summary = read_summary(client.act(f"/jobs/{job}/{action}"))
    told = 0
    if summary.state is JobState.RUNNING:
        say(f"{verb} job {job} …")
    while summary.state is JobState.RUNNING:
        told = _tell_under_way(summary, verb, told)
        time.sleep(_LOOK_EVERY_S)
        summary = find_detail(client, job).summary
    report_end(client, job, is_json=is_json)
    return 0


def _tell_under_way(summary: Summary, verb: str, told: int) -> int:
    under_way = summary.tally[OrderState.SENDING]
    if under_way and told != under_way:
        say(f"{verb}: {count(under_way, 'order')} under way, which will still be charged")
    return under_way
