"""Following a job that a server works on: progress, the report at its end, the exit status. Leaving changes nothing."""

from __future__ import annotations

import time

from imeiflow.cli.display import open_display
from imeiflow.cli.output import print_json, say, tell
from imeiflow.cli.program import INTERRUPTED
from imeiflow.cli.remote.sync import follow_statuses
from imeiflow.cli.report import report_detail
from imeiflow.cli.watching import tell_synced
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.domain.progress import exit_code
from imeiflow.ledger.record import Job
from imeiflow.operations.follow import Followed, Progress
from imeiflow.operations.job_detail import JobDetail
from imeiflow.remote.client import Client
from imeiflow.remote.event import ask_patiently, follow_job
from imeiflow.remote.reading import read_detail


def find_detail(client: Client, job: JobId, *, has_findings: bool = False) -> JobDetail:
    """Ask for all about a job."""
    return read_detail(client.get(f"/jobs/{job}", **({"findings": "true"} if has_findings else {})))


def follow_through(client: Client, job: JobId, *, is_json: bool) -> int:
    """Follow a job to its end; report, and give the exit status. It runs there, whether its server answers or not."""

    def find() -> JobDetail:
        return ask_patiently(lambda: find_detail(client, job), on_trouble=say)

    try:
        _watch(client, find().job)
    except KeyboardInterrupt:
        say(f"Job {job} goes on at {client.server.url}; `imeiflow resume {job}` follows it again.")
        detail = find_detail(client, job)
        owner = client.server.url
        followed = Followed(summary=detail.summary, was_interrupted=True, is_left_running=True, owner=owner)
        report_detail(detail, followed, is_aside=is_json)
        if is_json:
            print_json(detail.summary.as_dict())
        return INTERRUPTED
    detail = find()
    status = _report(detail, is_json=is_json)
    if not detail.job.follow_results or detail.summary.state is not JobState.FINISHED or not detail.statuses.open:
        return status
    synced = follow_statuses(client, job, watches=True)
    tell(tell_synced(synced), is_aside=is_json)
    return status or synced.exit_code


def report_end(client: Client, job: JobId, *, is_json: bool) -> int:
    """Tell how a job stands, and give the exit status that says so."""
    return _report(find_detail(client, job), is_json=is_json)


def _report(detail: JobDetail, *, is_json: bool) -> int:
    report_detail(detail, is_aside=is_json)
    if is_json:
        print_json(detail.summary.as_dict())
    return exit_code(detail.summary.state, detail.summary.tally)


def _watch(client: Client, job: Job) -> None:
    began_at = time.monotonic()
    display = open_display()
    try:
        for summary in follow_job(client, job.id, on_trouble=say):
            display.show(
                Progress(
                    job=job,
                    tally=summary.tally,
                    spent=summary.spent,
                    probed=summary.probed,
                    view=None,
                    owner=client.server.url,
                    elapsed_s=time.monotonic() - began_at,
                    interruptions=0,
                    is_watching=True,
                    is_remote=True,
                )
            )
    finally:
        display.close()
