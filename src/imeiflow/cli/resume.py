"""`imeiflow resume`: go on with a job that was paused, interrupted, or left by a process that died."""

from __future__ import annotations

import click

from imeiflow.cli.departure import detach_job
from imeiflow.cli.frame import follow_job, open_session
from imeiflow.cli.option import command, job_argument, json_option
from imeiflow.cli.output import print_json, say
from imeiflow.cli.report import report_job
from imeiflow.domain.ident import JobId
from imeiflow.domain.progress import exit_code
from imeiflow.operations.session import Session
from imeiflow.operations.steering import resume_job


@command(
    examples="""
    imeiflow resume 7             go on, and follow it here
    imeiflow resume 7 --detach    go on in the background
    """
)
@job_argument
@click.option("--detach", "is_detached", is_flag=True, help="Leave it to a runner that survives this terminal.")
@json_option
def resume(job: int, is_detached: bool, is_json: bool) -> int:
    """Go on with a job: paused, interrupted, killed, or finished with doubts that can be settled.

    It needs the ledger and nothing else: not the file, not the terminal, not the process that died. A job that
    another process works on is followed. The exit status is that of `submit`.
    """
    with open_session() as session:
        return go_on(session, JobId(job), is_detached=is_detached, is_json=is_json)


def go_on(session: Session, job: JobId, *, is_detached: bool, is_json: bool) -> int:
    """Make a job run and follow it, or leave it to a runner; give the exit status."""
    resumed = resume_job(session, job)
    if not resumed.is_to_follow:
        say(f"There is nothing left to do for job {job}.")
        summary = session.ledger.summary(job)
        if is_json:
            print_json(summary.as_dict())
        else:
            report_job(session, job)
        return exit_code(summary.state, summary.tally)
    if is_detached:
        return detach_job(session, job, resumed.lock, is_json=is_json)
    return follow_job(session, job, lock=resumed.lock, is_json=is_json)
