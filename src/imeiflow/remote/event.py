"""Following a job at a server: by its stream of events, and by asking now and then where no stream can be had."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final, TypeVar

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.domain.progress import Summary
from imeiflow.remote.client import BUSY, Client
from imeiflow.remote.error import LostError, RemoteError, UnreachableError
from imeiflow.remote.reading import read_summary

T = TypeVar("T")

#: Seconds between two questions, and at most between two attempts to reach a server that does not answer.
_ASK_EVERY_S: Final = 2.0
_LONGEST_WAIT_S: Final = 15.0


def follow_job(
    client: Client,
    job: JobId,
    *,
    on_trouble: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Summary]:
    """Give a job's summaries as they change; the last is of one that does not run any more.

    A server that cannot be reached is waited for, and `on_trouble` hears why: the job goes on there all the same.
    Raises RemoteError where the server turns the question away.
    """
    wait_s, trouble = _ASK_EVERY_S, ""
    while True:
        try:
            for summary in _read_stream(client, job):
                wait_s, trouble = _ASK_EVERY_S, ""
                yield summary
                if summary.state is not JobState.RUNNING:
                    return
        except (UnreachableError, LostError) as error:
            if str(error) != trouble:
                trouble = str(error)
                on_trouble(trouble)
        except RemoteError as error:
            if error.status not in BUSY:
                raise
        sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        yield from _look(client, job)


def ask_patiently(
    question: Callable[[], T],
    *,
    on_trouble: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Ask about a job that goes on whoever asks, again and again, until there is an answer; `on_trouble` hears why.

    Raises RemoteError where the server turns the question away.
    """
    wait_s, trouble = _ASK_EVERY_S, ""
    while True:
        try:
            return question()
        except (UnreachableError, LostError, RemoteError) as error:
            if isinstance(error, RemoteError) and error.status not in BUSY:
                raise
            if str(error) != trouble:
                trouble = str(error)
                on_trouble(trouble)
        sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def _look(client: Client, job: JobId) -> Iterator[Summary]:
    """Give how the job stands, once, if the server can be reached at all: some let no stream through."""
    try:
        summary = read_summary(client.get(f"/jobs/{job}"))
    except (UnreachableError, LostError):
        return
    except RemoteError as error:
        if error.status not in BUSY:
            raise
        return
    if summary.state is JobState.RUNNING:
        yield summary


def _read_stream(client: Client, job: JobId) -> Iterator[Summary]:
    with client.stream(f"/jobs/{job}/events") as stream:
        for data in read_events(stream.lines()):
            yield read_summary(data)


def read_events(lines: Iterator[str]) -> Iterator[Any]:
    """Give the data of each event of a stream, as JSON values; what is no event, or no JSON, is left out."""
    data: list[str] = []
    for line in lines:
        name, _, value = line.partition(":")
        if not line and data:
            with suppress(ValueError):
                yield json.loads("\n".join(data), parse_float=Decimal)
            data = []
        elif name == "data":
            data.append(value.removeprefix(" "))
