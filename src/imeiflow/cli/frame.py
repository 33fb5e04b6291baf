"""What every command does first and last: open the ledger that the environment names, and ask."""

from __future__ import annotations

import getpass
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from imeiflow.cli.log import keep_log
from imeiflow.cli.option import require_confirmation
from imeiflow.cli.output import count, fold, is_terminal, make_plain, say
from imeiflow.cli.server import require_ledger
from imeiflow.intake.encoding import read_text
from imeiflow.intake.origin import take_origin
from imeiflow.operations.configuration import Configuration, load_configuration
from imeiflow.operations.orphan import recover_orphans
from imeiflow.operations.session import Session

_ANSWERS = "[y/N]:.yes"  # as long as what is asked with, and the answer


@contextmanager
def open_session(configuration: Configuration | None = None, *, is_listing: bool = False) -> Iterator[Session]:
    """Open the ledger, and say which jobs a process that died has left behind: they are paused now.

    A command that only lists what the ledger holds says so with `is_listing`, imports nothing of the engine, and so is
    there sooner. Raises ConfigurationError, LedgerError; UsageError where a server was named.
    """
    if configuration is None:
        require_ledger()
        configuration = load_configuration()
    with keep_log(configuration, has_own=not is_listing), Session.open(configuration) as session:
        for job in recover_orphans(session):
            say(f"Job {job} was left by a process that died; it is paused. `imeiflow resume {job}` goes on with it.")
        yield session


def confirm(question: str, *, action: str, is_sure: bool, is_input_taken: bool = False) -> bool:
    """Ask on the terminal; `action` says what has to be confirmed where there is none.

    `is_input_taken`: standard input was the list, so the terminal itself is asked. Raises UsageError where nobody
    can be asked and `is_sure` is not set; an answer other than yes is a no.
    """
    if is_sure:
        return True
    if not is_terminal(sys.stderr) or not (is_input_taken or is_terminal(sys.stdin)):
        raise require_confirmation(action)
    asked = fold(f"{make_plain(question)} {_ANSWERS}", sys.stderr).removesuffix(_ANSWERS).removesuffix(" ")
    if not is_input_taken:
        return click.confirm(asked, default=False, err=True)
    try:
        with Path("/dev/tty").open(encoding="utf-8") as terminal:
            click.echo(f"{asked} [y/N]: ", nl=False, err=True)
            return terminal.readline().strip().lower() in {"y", "yes"}
    except OSError:
        raise require_confirmation(action) from None


def confirm_cancel(job: int, waiting: int, *, is_sure: bool) -> bool:
    """Ask whether what a job has not sent is to be cancelled; nothing is asked where nothing waits. Says a no."""
    is_agreed = not waiting or confirm(
        f"Cancel {count(waiting, 'order')} of job {job} that {'has' if waiting == 1 else 'have'} not been sent?",
        action="cancelling a job",
        is_sure=is_sure,
    )
    if not is_agreed:
        say("Nothing was changed.")
    return is_agreed


def read_pasted() -> str:
    """Read standard input as a text, whatever its encoding: what Windows saves is often UTF-16."""
    return _read(open_input())


def open_input() -> BinaryIO:
    """Give standard input. What is typed or pasted into a terminal is read here, up to the first Ctrl-D.

    Whoever reads a terminal in blocks needs a second one: the first only ends the block.
    """
    if not is_terminal(sys.stdin):
        return sys.stdin.buffer
    say("Reading from this terminal, one a line; Ctrl-D ends the list.")
    return io.BytesIO(b"".join(iter(sys.stdin.buffer.readline, b"")))


def read_file(path: Path) -> str:
    """Read a file as a text, whatever its encoding. Raises InputError."""
    return _read(path)


def _read(source: Path | BinaryIO) -> str:
    origin = take_origin(source)
    try:
        return read_text(origin)
    finally:
        origin.close()


def name_user() -> str:
    """Name who says so, for the log; some containers have no user name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "command line"
