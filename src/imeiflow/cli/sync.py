"""`imeiflow sync`: fetch statuses and results, once or until all is final."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress

import click

from imeiflow.cli.following import SIGNALS, follow_job, run_loop
from imeiflow.cli.frame import confirm, name_user, open_session
from imeiflow.cli.option import command, json_option
from imeiflow.cli.output import count, is_terminal, print_json, say, tell
from imeiflow.cli.program import INTERRUPTED
from imeiflow.cli.report import say_probe
from imeiflow.cli.server import find_client
from imeiflow.cli.watching import SyncDisplay, open_sync_display, tell_synced
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.jobs.lock import LaneLock
from imeiflow.operations.session import Session
from imeiflow.operations.steering import find_dear_probe, resume_job
from imeiflow.operations.sync import Synced, Syncer

_DRAW_EVERY_S = 0.2


@command(
    examples="""
    imeiflow sync 7              ask the provider once for all of job 7 that is open
    imeiflow sync 7 --watch      go on until all is final that can be
    imeiflow sync                of all jobs, in all accounts
    imeiflow sync 7 --json | jq .completed
    """,
    is_remote=True,
)
@click.argument("job", type=click.IntRange(min=1), metavar="[JOB]", required=False)
@click.option("--watch", "watches", is_flag=True, help="Follow here until all is final that can be.")
@json_option
def sync(job: int | None, watches: bool, is_json: bool) -> int:
    """Fetch the statuses and results of accepted orders, of one job or of all.

    It asks at once for what is open, many orders a call. With --watch it goes on: every few seconds for instant
    services, hours apart for slow unlocks, within the limits that the provider was seen to have. What is final is not
    asked for again. It ends when all is final that can be: an order that the provider does not know, or has under
    another IMEI, is named, and waits for you. Ctrl-C ends it; nothing is lost, and the next `sync` goes on.

    \b
    Exit status: 0 all final; 1 error; 2 wrong usage; 4 some are still open, or
    the provider turned the account away; 130 interrupted.
    """
    client = find_client()
    if client is not None:
        from imeiflow.cli.remote.sync import sync_remotely

        return sync_remotely(client, None if job is None else JobId(job), watches=watches, is_json=is_json)
    with open_session() as session:
        synced = follow_statuses(session, None if job is None else JobId(job), watches=watches)
    tell(tell_synced(synced), is_aside=is_json)
    if is_json:
        print_json(synced.as_dict())
    return synced.exit_code


def follow_statuses(session: Session, job: JobId | None, *, watches: bool) -> Synced:
    """Fetch statuses with the progress on standard error; report nothing. Raises what stops a lane."""
    syncer = Syncer(session, job, watches=watches)
    return run_loop(_watch(syncer, open_sync_display(watches=watches)))


def follow_through(session: Session, job: JobId, lock: LaneLock, *, is_json: bool, may_ask: bool = True) -> int:
    """Follow a running job to its end, and to its results where they were asked for; give the exit status.

    Where its doubts wait for a repeat probe that is dear, whoever looks on at a terminal is asked, if that `may` be.
    """
    status = follow_job(session, job, lock=lock, is_json=is_json)
    if may_ask and not is_json and status != INTERRUPTED:
        again = _ask_for_probe(session, job)
        if again is not None:
            status = follow_job(session, job, lock=again)
    found = session.find_job(job)
    if not found.follow_results or found.state is not JobState.FINISHED or not session.ledger.count_open(job):
        return status
    synced = follow_statuses(session, job, watches=True)
    tell(tell_synced(synced), is_aside=is_json)
    return status or synced.exit_code


def _ask_for_probe(session: Session, job: JobId) -> LaneLock | None:
    """Ask whether one order may be repeated at its price; give the lock of the job that goes on then."""
    price = find_dear_probe(session, job)
    if price is None or not (is_terminal(sys.stderr) and is_terminal(sys.stdin)):
        return None
    doubts, told = session.ledger.tally(job)[OrderState.UNCONFIRMED], say_probe(session.find_job(job), price)
    question = (
        f"Repeat one accepted order, which may cost {told}, to learn whether the provider refuses repeats? "
        f"If it does, {count(doubts, 'unconfirmed order')} can be settled."
    )
    if not confirm(question, action="a repeat probe", is_sure=False):
        return None
    account = session.find_job(job).account
    session.configuration = session.configuration.allow_probe(account, price.amount)
    resumed = resume_job(session, job, actor=name_user())
    return resumed.lock if resumed.is_to_follow else None


async def _watch(syncer: Syncer, display: SyncDisplay) -> Synced:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, _interrupt, syncer, display)
    drawing = asyncio.create_task(_draw(syncer, display))
    try:
        return await syncer.run()
    finally:
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)
        display.close()
        for number in SIGNALS:
            with suppress(ValueError):
                loop.remove_signal_handler(signal.Signals(number))


async def _draw(syncer: Syncer, display: SyncDisplay) -> None:
    while True:
        display.show(syncer.progress())
        await asyncio.sleep(_DRAW_EVERY_S)


def _interrupt(syncer: Syncer, display: SyncDisplay) -> None:
    """Heed Ctrl-C: end well; then at once; and a third one does not even wait for that."""
    number = syncer.interrupt()
    if number > 2:
        display.close()
        os._exit(INTERRUPTED)
    if number == 1:
        say("leaving: calls under way end first; what is open is asked for by the next `imeiflow sync`")
