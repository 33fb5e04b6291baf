"""`imeiflow pause`, `cancel` and `retry`: each says honestly what is under way, and what it costs."""

from __future__ import annotations

from typing import Any

import click

from imeiflow.cli.frame import confirm_cancel, name_user, open_session
from imeiflow.cli.option import command, job_argument, json_option, yes_option
from imeiflow.cli.output import print_json
from imeiflow.cli.report import report_job
from imeiflow.cli.resume import follow_resumed, look_at_price
from imeiflow.cli.retry import Retry, StopTeller, confirm_retry, tell_left_alone
from imeiflow.cli.server import find_client
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState
from imeiflow.operations.price import refuse_rise
from imeiflow.operations.session import Session
from imeiflow.operations.steering import RETRIED, cancel_job, pause_job, plan_retry, retry_job, wait_for_end


@command(examples="imeiflow pause 7", is_remote=True)
@job_argument
@json_option
def pause(job: int, is_json: bool) -> int:
    """Pause a job: nothing more is sent; calls under way end, and what they order is charged."""
    client = find_client()
    if client is not None:
        from imeiflow.cli.remote.job import pause_remotely

        return pause_remotely(client, JobId(job), is_json=is_json)
    with open_session() as session:
        if pause_job(session, JobId(job)):
            _wait(session, JobId(job), "pausing")
        return _tell_end(session, JobId(job), is_json=is_json)


@command(examples="imeiflow cancel 7", is_remote=True)
@job_argument
@yes_option
@json_option
def cancel(job: int, is_sure: bool, is_json: bool) -> int:
    """Cancel what a job has not sent yet, for good. What was accepted stays ordered and charged."""
    client = find_client()
    if client is not None:
        from imeiflow.cli.remote.job import cancel_remotely

        return cancel_remotely(client, JobId(job), is_sure=is_sure, is_json=is_json)
    with open_session() as session:
        id_ = JobId(job)
        waiting = session.ledger.tally(session.find_job(id_).id)[OrderState.QUEUED]
        if not confirm_cancel(id_, waiting, is_sure=is_sure):
            return 0
        if cancel_job(session, id_):
            _wait(session, id_, "cancelling")
        return _tell_end(session, id_, is_json=is_json)


@command(
    examples="""
    imeiflow retry 7                    what was refused or failed
    imeiflow retry 7 --state failed     only what was proved not placed
    imeiflow retry 7 --again            also what another job has ordered since
    """,
    is_remote=True,
)
@job_argument
@click.option(
    "--state",
    "states",
    type=click.Choice(sorted(state.value for state in RETRIED)),
    multiple=True,
    help="Only these; may be given twice. Otherwise both.",
)
@click.option("--again", "is_again", is_flag=True, help="Also what another job has ordered since.")
@yes_option
@click.option("--detach", "is_detached", is_flag=True, help="Leave it to a runner that survives this terminal.")
@json_option
def retry(job: int, *, states: tuple[str, ...], is_again: bool, is_sure: bool, is_detached: bool, is_json: bool) -> int:
    """Send again what was refused or failed; nothing else.

    What was accepted, or may have been placed, is never part of it, nor are IMEIs that another job has ordered since.
    The cost is said first.
    """
    client = find_client()
    if client is not None:
        from imeiflow.cli.remote.job import retry_remotely

        how = {"is_again": is_again, "is_sure": is_sure, "is_detached": is_detached, "is_json": is_json}
        return retry_remotely(client, JobId(job), states, **how)
    with open_session() as session:
        id_, chosen = JobId(job), frozenset(map(OrderState, states)) or RETRIED
        plan = plan_retry(session, id_, chosen, is_again=is_again)
        asked = Retry(
            job=job,
            counts={state.value: number for state, number in plan.counts.items()},
            cost=plan.cost,
            elsewhere={int(other): number for other, number in plan.elsewhere.items()},
            waiting=session.ledger.tally(id_).waiting,
        )
        if not tell_left_alone(asked, chosen):
            if is_json:
                print_json(session.ledger.summary(id_).as_dict())
            return 0
        rise = look_at_price(session, id_, more=plan.count)
        if not confirm_retry(asked, rise, is_sure=is_sure):
            return 0
        # Whoever said --yes has not seen the cost, and has agreed to no higher price.
        agreed = None if is_sure or rise is None else rise.price.amount
        refuse_rise(session, id_, more=plan.count, up_to=agreed)
        terms: dict[str, Any] = {"is_again": is_again, "accept_price": agreed, "actor": name_user()}
        _, resumed = retry_job(session, id_, chosen, most=plan.count, **terms)
        return follow_resumed(session, resumed, is_detached=is_detached, is_json=is_json)


def _wait(session: Session, job: JobId, verb: str) -> None:
    """Wait until the process that works on a job has ended what is under way; it ends all the same if we leave."""
    wait_for_end(session, job, StopTeller(job, verb).tell)


def _tell_end(session: Session, job: JobId, *, is_json: bool) -> int:
    report_job(session, job, is_aside=is_json)
    if is_json:
        print_json(session.ledger.summary(job).as_dict())
    return 0
