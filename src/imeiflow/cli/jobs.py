"""`imeiflow jobs` and `imeiflow show`: what there is, how far it is, and why orders are not accepted."""

from __future__ import annotations

import click

from imeiflow.cli.frame import open_session
from imeiflow.cli.option import account_option, command, job_argument, json_option
from imeiflow.cli.output import print_json, print_json_list, print_table, say, tell
from imeiflow.cli.server import find_client
from imeiflow.cli.table import JOB_HEADINGS, JOB_RIGHT, make_job_row
from imeiflow.domain.ident import AccountName, JobId
from imeiflow.domain.order import JobState

_STATES = [state.value for state in JobState if state is not JobState.DRAFT]
_LISTED = 20
_NONE_YET = "There are no jobs yet. `imeiflow submit FILE --service ID` makes one; `imeiflow demo` shows how."


@command(
    examples="""
    imeiflow jobs
    imeiflow jobs --state paused
    imeiflow jobs --json | jq '.[0].unconfirmed'
    """,
    is_remote=True,
)
@click.option("--state", type=click.Choice(_STATES), help="Only jobs in this state.")
@account_option
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The newest N; 20 in the table, all in JSON.")
@json_option
def jobs(state: str | None, account: str | None, limit: int | None, is_json: bool) -> None:
    """List the jobs of this ledger, newest first."""
    empty = "No job fits." if state or account else _NONE_YET
    client = find_client()
    if client is not None:
        from imeiflow.cli.remote.job import list_remotely

        list_remotely(client, state, account, limit, is_json=is_json, most=_LISTED, empty=empty)
        return
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
            JOB_HEADINGS,
            [make_job_row(summaries[job.id], job.created_at, job.unit_price, job.name) for job in shown],
            right=JOB_RIGHT,
            empty=empty,
        )
        if len(shown) < len(found):
            say(f"{len(found) - len(shown):,} older ones are not shown: see --limit.")


@command(
    examples="""
    imeiflow show 7
    imeiflow show 7 --json
    """,
    is_remote=True,
)
@job_argument
@json_option
def show(job: int, is_json: bool) -> None:
    """Show one job: how far it is, why orders are not accepted, what is in doubt, and what to do next."""
    client = find_client()
    if client is not None:
        from imeiflow.cli.remote.job import show_remotely

        show_remotely(client, JobId(job), is_json=is_json)
        return
    from imeiflow.cli.detail import tell_job
    from imeiflow.operations.job_detail import describe_job, read_job_detail

    with open_session(is_listing=True) as session:
        detail = read_job_detail(session, JobId(job), has_findings=True)
        if is_json:
            print_json(describe_job(detail))
        else:
            tell(tell_job(detail))
