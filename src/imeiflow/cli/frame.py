"""What every command does first and last: open the ledger that the environment names, ask, follow a job to its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from imeiflow.cli.following import follow_job, watch_job
from imeiflow.cli.option import require_confirmation
from imeiflow.cli.output import is_terminal, say
from imeiflow.operations.configuration import Configuration, load_configuration
from imeiflow.operations.orphan import recover_orphans
from imeiflow.operations.session import Session

__all__ = ["confirm", "follow_job", "open_session", "watch_job"]


@contextmanager
def open_session(configuration: Configuration | None = None) -> Iterator[Session]:
    """Open the ledger, and say which jobs a process that died has left behind: they are paused now.

    Raises ConfigurationError, LedgerError.
    """
    with Session.open(configuration or load_configuration()) as session:
        for job in recover_orphans(session):
            say(f"Job {job} was left by a process that died; it is paused. `imeiflow resume {job}` goes on with it.")
        yield session


def confirm(question: str, *, action: str, is_sure: bool) -> bool:
    """Ask on the terminal; `action` says what has to be confirmed where there is none.

    Raises UsageError where nobody can be asked and `is_sure` is not set.
    """
    if is_sure:
        return True
    if is_terminal(sys.stdin):
        return click.confirm(question, default=False, err=True)
    raise require_confirmation(action)
