"""`imeiflow webhooks`: what was told to the user's own programs, what failed, and a message to try it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Coroutine, Iterator
from typing import Any

import click

from imeiflow.cli.frame import open_session
from imeiflow.cli.option import command, json_option
from imeiflow.cli.output import count, print_json, print_json_list, print_table, say, show_time, tell
from imeiflow.domain.notice import DeliveryState
from imeiflow.errors import UsageError
from imeiflow.ledger.delivery import Delivery, DeliveryAttempt
from imeiflow.operations.json_text import as_values
from imeiflow.operations.session import Session
from imeiflow.operations.telling import (
    describe_attempt,
    find_delivery,
    keep_sending,
    retry_delivery,
    send_due,
    send_test,
    show_delivery,
)

_ACTIONS = ("list", "show", "retry", "test", "send")
_FAILED = 3


@command(
    examples="""
    imeiflow webhooks
    imeiflow webhooks test shop.example
    imeiflow webhooks list --state failed
    imeiflow webhooks show 12
    imeiflow webhooks retry 12
    imeiflow webhooks retry --all-failed
    imeiflow webhooks send --watch
    """
)
@click.argument("action", type=click.Choice(_ACTIONS), default="list")
@click.argument("what", required=False, metavar="[ID|NAME]")
@click.option("--state", type=click.Choice([state.value for state in DeliveryState]), help="List only these.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="List so many.")
@click.option("--all-failed", is_flag=True, help="Retry all that failed.")
@click.option("--watch", is_flag=True, help="Go on sending until interrupted.")
@click.option("--body", is_flag=True, help="Show also what was sent.")
@json_option
def webhooks(
    *,
    action: str,
    what: str | None,
    state: str | None,
    limit: int,
    all_failed: bool,
    watch: bool,
    body: bool,
    is_json: bool,
) -> int:
    """List what was told to webhooks, and what is still to be; show, retry, test, send.

    Webhooks are off until config.toml has a [[webhooks]]. Whoever works on jobs tells them meanwhile; `send` does it
    when nobody works. What fails is tried again for a day, then listed as failed until you retry it.
    """
    with open_session() as session:
        match action:
            case "show":
                _show(session, _read_id(what), with_body=body, is_json=is_json)
            case "retry":
                _retry(session, what, is_all=all_failed)
            case "test":
                return _test(session, what, is_json=is_json)
            case "send":
                return _send(session, is_watched=watch)
            case _:
                chosen = None if state is None else DeliveryState(state)
                _list(session, session.ledger.deliveries(state=chosen, webhook=what, limit=limit), is_json=is_json)
    return 0


def _list(session: Session, found: list[Delivery], *, is_json: bool) -> None:
    if is_json:
        print_json_list(as_values(one) for one in found)
        return
    configured = session.configuration.webhooks
    if not configured:
        say("No webhook is configured: docs/how-to/webhooks.md shows how.")
    for one in configured:
        say(f"{one.name}: {one.shown_url}, told of {', '.join(sorted(one.events))}")
    rows = [
        [
            str(one.id),
            show_time(one.created_at),
            one.webhook,
            one.event,
            "-" if one.job is None else str(one.job),
            str(one.count) if one.count else "-",
            str(one.attempts),
            _tell_state(one),
        ]
        for one in found
    ]
    headings = ["ID", "AT", "WEBHOOK", "EVENT", "JOB", "ABOUT", "TRIES", "STATE"]
    print_table(headings, rows, right=(0, 4, 5, 6), empty="Nothing was told yet.")


def _tell_state(one: Delivery) -> str:
    if one.state is DeliveryState.PENDING:
        return f"pending, next at {one.next_at.astimezone():%H:%M:%S}" if one.attempts else "pending"
    return one.state.value


def _show(session: Session, id_: int, *, with_body: bool, is_json: bool) -> None:
    delivery, attempts = show_delivery(session, id_)
    message = json.loads(find_delivery(session, id_)[1]) if with_body else None
    if is_json:
        told = {**as_values(delivery), "tries": [as_values(one) for one in attempts]}
        print_json({**told, "body": message} if with_body else told)
        return
    tell(_describe(delivery, attempts))
    if with_body:
        click.echo(json.dumps(message, ensure_ascii=False, indent=2))


def _describe(delivery: Delivery, attempts: list[DeliveryAttempt]) -> Iterator[str]:
    about = f", {count(delivery.count, 'order')}" if delivery.event.startswith("order.") else ""
    job = "" if delivery.job is None else f" of job {delivery.job}"
    yield f"Delivery {delivery.id}: {delivery.event}{job}{about}, to {delivery.webhook}: {_tell_state(delivery)}"
    yield f"  message {delivery.event_id}, made {show_time(delivery.created_at)}"
    for one in attempts:
        yield f"  {one.started_at.astimezone():%Y-%m-%d %H:%M:%S}  {describe_attempt(one)}"
    if not attempts:
        yield "  not sent yet"


def _retry(session: Session, what: str | None, *, is_all: bool) -> None:
    if is_all:
        retried = session.ledger.retry_deliveries()
        say(f"{count(retried, 'delivery', 'deliveries')} will be sent again.")
    else:
        retry_delivery(session, _read_id(what))
        say(f"Delivery {what} will be sent again, with the same message id.")
    if session.configuration.webhooks:
        _run(send_due(session))


def _test(session: Session, name: str | None, *, is_json: bool) -> int:
    delivery, attempts = asyncio.run(send_test(session, name))
    if is_json:
        print_json({**as_values(delivery), "tries": [as_values(one) for one in attempts]})
    else:
        tell(_describe(delivery, attempts))
    return 0 if delivery.state is DeliveryState.DELIVERED else _FAILED


def _send(session: Session, *, is_watched: bool) -> int:
    if is_watched:
        say("Sending what is due, until you press Ctrl-C.")
        _run(keep_sending(session))
        return 0
    _run(send_due(session))
    waiting = session.ledger.deliveries(state=DeliveryState.PENDING, limit=1000)
    if waiting:
        at = min(one.next_at for one in waiting)
        say(f"{count(len(waiting), 'delivery waits', 'deliveries wait')}; the next is tried at {show_time(at)}.")
        return _FAILED
    say("Nothing is left to be sent.")
    return 0


def _run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run to the end; SIGTERM ends it as Ctrl-C does."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(coroutine)
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
        loop.add_signal_handler(signal.SIGINT, task.cancel)
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            say("Stopped. What was not sent waits.")


def _read_id(what: str | None) -> int:
    if what is None or not what.isdecimal():
        raise UsageError(problem="give the number of a delivery", remedy="`imeiflow webhooks` lists them.")
    return int(what)
