"""`imeiflow resume`: go on with a job that was paused, interrupted, or left by a process that died."""

from __future__ import annotations

import sys
from decimal import Decimal

import click

from imeiflow.cli.departure import detach_job
from imeiflow.cli.frame import confirm, name_user, open_session
from imeiflow.cli.option import AMOUNT, command, job_argument, json_option
from imeiflow.cli.output import is_terminal, print_json, say
from imeiflow.cli.report import report_job
from imeiflow.cli.retry import Rise
from imeiflow.cli.server import find_client
from imeiflow.cli.sync import follow_through
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.domain.progress import exit_code
from imeiflow.errors import UsageError
from imeiflow.operations.json_text import clean
from imeiflow.operations.price import find_rise, renew_prices
from imeiflow.operations.session import Session
from imeiflow.operations.steering import Resumed, resume_job


@command(
    examples="""
    imeiflow resume 7             go on, and follow it here
    imeiflow resume 7 --detach    go on in the background
    imeiflow resume 7 --max-spend 500     with another spending cap
    imeiflow resume 7 --accept-price 0.10     at a price that has risen
    imeiflow resume 7 --probe-up-to 25    settle doubts of a dear service
    """,
    is_remote=True,
)
@job_argument
@click.option(
    "--probe-up-to",
    type=AMOUNT,
    metavar="AMOUNT",
    help="Let one repeated order cost this, to learn whether doubts can be settled. Not with --detach.",
)
@click.option("--max-spend", type=AMOUNT, metavar="AMOUNT", help="Give the job another spending cap, if it may go on.")
@click.option(
    "--accept-price",
    type=AMOUNT,
    metavar="AMOUNT",
    help="Go on if one order costs this or less, though the price has risen.",
)
@click.option("--detach", "is_detached", is_flag=True, help="Leave it to a runner that survives this terminal.")
@json_option
def resume(
    job: int,
    *,
    probe_up_to: Decimal | None,
    max_spend: Decimal | None,
    accept_price: Decimal | None,
    is_detached: bool,
    is_json: bool,
) -> int:
    """Go on with a job: paused, interrupted, killed, or finished with doubts that can be settled.

    It needs the ledger and nothing else: not the file, not the terminal, not the process that died. A job that
    another process works on is followed. Where its price has risen since you confirmed it, nothing is sent before you
    agree, here or by --accept-price. The exit status is that of `submit`.
    """
    if probe_up_to is not None and is_detached:
        raise UsageError(problem="--probe-up-to is your word for this run: it does not go with --detach")
    client = find_client()
    if client is not None:
        from imeiflow.cli.remote.job import resume_remotely

        amounts = {"max_spend": max_spend, "accept_price": accept_price, "probe_up_to": probe_up_to}
        return resume_remotely(client, JobId(job), **amounts, is_detached=is_detached, is_json=is_json)
    with open_session() as session:
        if probe_up_to is not None:
            account = session.find_job(JobId(job)).account
            session.configuration = session.configuration.allow_probe(account, probe_up_to)
        accept_price = _ask_for_price(session, JobId(job), accept_price)
        resumed = resume_job(
            session,
            JobId(job),
            accept_price=accept_price,
            max_spend=max_spend,
            probe_up_to=probe_up_to,
            actor=name_user(),
            is_detached=is_detached,
        )
        return follow_resumed(session, resumed, is_detached=is_detached, is_json=is_json)


def follow_resumed(session: Session, resumed: Resumed, *, is_detached: bool, is_json: bool) -> int:
    """Follow a job that goes on, or leave it to a runner; give the exit status."""
    job = resumed.job
    if not resumed.is_to_follow:
        say(f"There is nothing left to do for job {job}.")
        summary = session.ledger.summary(job)
        if is_json:
            print_json(summary.as_dict())
        else:
            report_job(session, job)
        return exit_code(summary.state, summary.tally)
    if is_detached and resumed.was_running:
        resumed.lock.release()
        say(f"Job {job} runs already: `imeiflow resume {job}` without --detach follows it.")
        if is_json:
            print_json(session.ledger.summary(job).as_dict())
        return 0
    if is_detached:
        return detach_job(session, job, resumed.lock, is_json=is_json)
    return follow_through(session, job, resumed.lock, is_json=is_json)


def look_at_price(session: Session, job: JobId, *, more: int = 0) -> Rise | None:
    """Look at today's price of a job, with `more` orders about to wait; give it where it has risen, and is known."""
    prices = renew_prices(session, job)
    if prices is not None and not prices.is_fresh:
        say_stale_prices(prices.problem)
    found = find_rise(session, job, more=more)
    if found is None or found.price is None:
        return None
    return Rise(change=found.change, cost=found.cost, price=found.price)


def _ask_for_price(session: Session, job: JobId, accepted: Decimal | None) -> Decimal | None:
    """Look at today's price of a job that does not run; give what may be paid, asked for where it has risen.

    Where nobody can be asked, what was accepted stands, and resuming says why it does not go on.
    """
    if session.find_job(job).state not in {JobState.PAUSED, JobState.FINISHED}:
        return accepted
    rise = look_at_price(session, job)
    return accepted if rise is None or accepted is not None else ask_for_price(rise)


def ask_for_price(rise: Rise) -> Decimal | None:
    """Ask whether a job may go on at a price that has risen; None where nobody can be asked, or it may not."""
    if not (is_terminal(sys.stderr) and is_terminal(sys.stdin)):
        return None
    question = f"{rise.change[:1].upper()}{rise.change[1:]}. {rise.cost} Go on at {rise.price}?"
    return rise.price.amount if confirm(question, action="a higher price", is_sure=False) else None


def say_stale_prices(problem: str) -> None:
    """Say that the price list could not be fetched, and what that means."""
    say(f"The price list could not be fetched: {clean(problem)}. The job goes on at its confirmed price.")
