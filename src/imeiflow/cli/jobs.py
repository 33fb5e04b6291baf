"""`imeiflow jobs` and `imeiflow show`: what there is, how far it is, and why orders are not accepted."""

from __future__ import annotations

import click

from imeiflow.cli.detail import tell_job
from imeiflow.cli.frame import open_session
from imeiflow.cli.option import account_option, command, job_argument, json_option
from imeiflow.cli.output import print_json, print_json_list, print_table, say, show_time, tell
from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.progress import Summary
from imeiflow.ledger.record import Job
from imeiflow.operations.job_detail import describe_job, read_job_detail
from imeiflow.operations.json_text import clean

_STATES = [state.value for state in JobState if state is not JobState.DRAFT]
_LISTED = 20
_NONE_YET = "There are no jobs yet. `imeiflow submit FILE --service ID` makes one; `imeiflow demo` shows how."


@command(
    examples="""
    imeiflow jobs
    imeiflow jobs --state paused
    imeiflow jobs --json | jq '.[0].unconfirmed'
    """
)
@click.option("--state", type=click.Choice(_STATES), help="Only jobs in this state.")
@account_option
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The newest N; 20 in the table, all in JSON.")
@json_option
def jobs(state: str | None, account: str | None, limit: int | None, is_json: bool) -> None:
    """List the jobs of this ledger, newest first."""
    with open_session(is_listing=True) as session:
        ledger = session.ledger
        found = ledger.list_jobs(
            None if state is None else JobState(state), None if account is None else AccountName(account)
        )
        shown = found[: limit or (None if is_json else _LISTED)]
        summaries = ledger.summaries([job.id for job in shown])
        if is_json:
            print_json_list(summaries[job.id].as_dict() for job in shown)
            return
        print_table(
            ("JOB", "STATE", "CREATED", "ROWS", "ACCEPTED", "WAITING", "IN DOUBT", "SPENT", "NAME"),
            [_as_row(job, summaries[job.id]) for job in shown],
            right=(0, 3, 4, 5, 6, 7),
            empty="No job fits." if state or account else _NONE_YET,
        )
        if len(shown) < len(found):
            say(f"{len(found) - len(shown):,} older ones are not shown: see --limit.")


@command(
    examples="""
    imeiflow show 7
    imeiflow show 7 --json
    """
)
@job_argument
@json_option
def show(job: int, is_json: bool) -> None:
    """Show one job: how far it is, why orders are not accepted, what is in doubt, and what to do next."""
    with open_session(is_listing=True) as session:
        if is_json:
            print_json(describe_job(read_job_detail(session, JobId(job))))
            return
        tell(tell_job(read_job_detail(session, JobId(job))))


def _as_row(job: Job, summary: Summary) -> tuple[str, ...]:
    tally = summary.tally
    return (
        str(job.id),
        summary.state.value,
        show_time(job.created_at),
        f"{tally.total:,}",
        f"{tally[OrderState.ACCEPTED]:,}",
        f"{tally.waiting:,}",
        f"{tally[OrderState.UNCONFIRMED]:,}",
        "-" if job.unit_price is None else str(summary.spent),
        clean(job.name),
    )
