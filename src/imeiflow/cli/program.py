"""The table of commands, each imported only when it is called, and what becomes of an error that reaches the top.

May import nothing heavy: `imeiflow --help` is to be there at once.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import click
from click.shell_completion import CompletionItem, shell_complete

from imeiflow.errors import ImeiflowError

#: The status of a process that was interrupted, and of one whose reader went away, as shells know them.
INTERRUPTED: Final = 130
_PIPE_CLOSED: Final = 141
#: Standard output leads to a disk that is full or broken.
_UNWRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})

#: What the library below says of numbers, and how a person says it.
_SYMBOLS: Final = (
    (r" is not in the range (\S+?)<=x<=(\S+?)\.$", r" is not a number from \1 to \2."),
    (r" is not in the range x>=(\S+?)\.$", r" is not a number of \1 or more."),
    (r" is not a valid integer( range)?\.$", " is not a whole number."),
    (r" is not a valid float( range)?\.$", " is not a number."),
)
PROGRAM: Final = "imeiflow"
#: Where the server stands that was named, among what a call of the program carries along.
SERVER_META: Final = "imeiflow.server"
#: Through this a shell asks for completions.
COMPLETE_VARIABLE: Final = "_IMEIFLOW_COMPLETE"


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: where it is, and the line that lists it; without a line it is hidden."""

    place: str  #: module of this package, and the function in it
    says: str = ""


#: Sections of `imeiflow --help`, in order.
SECTIONS: Final[Mapping[str, Mapping[str, Entry]]] = {
    "Try it": {
        "demo": Entry("demo:demo", "20,000 IMEIs to a simulated provider, then the proof that all is accounted for"),
        "simulate": Entry("simulate:simulate", "the simulated provider alone, its faults as options"),
    },
    "Order": {
        "submit": Entry("submit:submit", "order a service for a list of IMEIs (csv, xlsx, txt)"),
        "order-file": Entry("item_order:order_file", "order a file service, once for each file"),
        "order-server": Entry("item_order:order_server", "order a server service: credits, licences, tools"),
        "resume": Entry("resume:resume", "go on with a job, also after a crash"),
        "pause": Entry("steering:pause", "let calls under way end, and send nothing more"),
        "cancel": Entry("steering:cancel", "send nothing more of a job, for good"),
        "retry": Entry("steering:retry", "send again what was refused or failed"),
        "sync": Entry("sync:sync", "fetch statuses and results, once or until all is final"),
        "settle": Entry("settle:settle", "say what became of unconfirmed orders"),
    },
    "Look": {
        "jobs": Entry("jobs:jobs", "list the jobs"),
        "show": Entry("jobs:show", "one job, and why orders are not accepted"),
        "orders": Entry("orders:orders", "find orders by IMEI, state or status"),
        "export": Entry("export:export", "your file back, with what became of every row"),
        "spending": Entry("spending:spending", "what was spent, by day, service, job or account"),
    },
    "Provider": {
        "services": Entry("services:services", "what can be ordered, and its price"),
        "account": Entry("account:account", "credit, settings, and what was learned about limits"),
        "probe": Entry("probe:probe", "find out whether a server really takes several IMEIs a call"),
        "find-limits": Entry("find_limits:find_limits", "what pace and concurrency a server bears: a table and a plot"),
    },
    "Web": {
        "serve": Entry("serve:serve_command", "the web application and the REST API, with the runner inside"),
        "user": Entry("user:user", "who may sign in: the first one, a lost password"),
        "token": Entry("token:token", "let a program in to the REST API"),
    },
    "Set-up": {
        "webhooks": Entry("webhooks:webhooks", "what was told to your own programs, and what is still to be"),
        "completion": Entry("completion:completion", "let the shell complete commands and options"),
    },
    "": {
        "run-lane": Entry("lane:run_lane"),
    },
}
_TABLE: Final = {name: entry for section in SECTIONS.values() for name, entry in section.items()}

_HELP: Final = """Send large lists of IMEIs to unlock and check providers, and know what became of every one.

No IMEI is lost, none is paid for twice, and what cannot be known is said to be unknown."""

_EPILOG: Final = """Begin with `imeiflow demo`: it needs no account and costs nothing.
`imeiflow COMMAND --help` shows a command's options, with examples."""


class Program(click.Group):
    """The group of all commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Name the commands that are shown."""
        return [name for name, entry in _TABLE.items() if entry.says]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command; None where there is none of this name."""
        entry = _TABLE.get(cmd_name)
        if entry is None:
            return None
        module, function = entry.place.split(":")
        name = f"imeiflow.cli.{module}"
        try:
            command = getattr(importlib.import_module(name), function)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise click.ClickException(f"this version of imeiflow comes without `{cmd_name}`") from None
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.place} is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was typed; say which one was probably meant where there is none."""
        if args and args[0] not in _TABLE and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], self.list_commands(ctx), n=1)
            meant = f" Did you mean `{close[0]}`?" if close else ""
            ctx.fail(f"there is no command `{args[0]}`.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the table, without importing any command."""
        for section, commands in SECTIONS.items():
            if section:
                with formatter.section(section):
                    formatter.write_dl([(name.ljust(10), entry.says) for name, entry in commands.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the last lines as they stand."""
        formatter.write(f"\n{_EPILOG}\n")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, without importing any."""
        names = [CompletionItem(name, help=_TABLE[name].says) for name in self.list_commands(ctx)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(item for item in names if item.value.startswith(incomplete)), *options]


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"imeiflow {version('imeiflow')}")
        ctx.exit()


def keep_server(context: click.Context, _: click.Parameter, value: str | None) -> None:
    """Keep the server that was named with this call of the program."""
    if value is not None:
        context.find_root().meta[SERVER_META] = value


program = Program(
    name=PROGRAM,
    help=_HELP,
    no_args_is_help=False,
    invoke_without_command=True,
    callback=lambda: _show_help(click.get_current_context()),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_show_version,
            help="Show the version.",
        ),
        click.Option(
            ["--server"],
            metavar="URL",
            expose_value=False,
            callback=keep_server,
            help="Ask an imeiflow server instead of the ledger here.",
        ),
    ],
)


def _show_help(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(group: click.Group, arguments: Sequence[str]) -> int:
    """Run what was typed; errors are told on standard error with their remedy. Give the exit status."""
    try:
        status = _invoke(group, list(arguments))
        sys.stdout.flush()
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        _tell_wrong_usage(error)
        return error.exit_code
    except ImeiflowError as error:
        _tell_error(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _tell("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return _PIPE_CLOSED
    except Exception as error:  # noqa: BLE001 - the top: nobody above could tell it better
        return _report(error)
    return status if isinstance(status, int) else 0


def _invoke(group: click.Group, arguments: list[str]) -> object:
    """Do what `click.Group.main` does, but let every error through: it would print, and exit, by itself."""
    wanted = os.environ.get(COMPLETE_VARIABLE)
    if wanted:
        return shell_complete(group, {}, PROGRAM, COMPLETE_VARIABLE, wanted)
    with group.make_context(PROGRAM, arguments) as context:
        return group.invoke(context)


def _tell_error(error: ImeiflowError) -> None:
    """Say on standard error what went wrong, and what can be done about it."""
    _tell(f"imeiflow: {error.message}")
    if error.remedy:
        _tell(f"  {error.remedy}")


def prepare_streams() -> None:
    """Let there be three standard streams, whatever the caller has closed, and let no character stop a command.

    A closed one would otherwise give its number to the next file that is opened: the ledger, for example.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            stream = open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    for written in (sys.stdout, sys.stderr):
        if isinstance(written, io.TextIOWrapper):
            written.reconfigure(errors="replace")


def _report(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno in _UNWRITABLE:
        _drop_output()
        _tell(f"imeiflow: what it has to say cannot be written: {error.strerror}")
        return 1
    from imeiflow.cli.crash import report_crash

    _tell(report_crash(error))
    return 1


def _say_plainly(message: str) -> str:
    """Say what a number must be in words, where the library says it in symbols."""
    for pattern, words in _SYMBOLS:
        message = re.sub(pattern, words, message)
    return message


def _tell_wrong_usage(error: click.ClickException) -> None:
    message = _say_plainly(error.format_message()) if isinstance(error, click.BadParameter) else error.format_message()
    _tell(f"imeiflow: {message[:1].lower()}{message[1:]}")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        _tell(f"  `{error.ctx.command_path} --help` shows how it is used.")


def _tell(text: str) -> None:
    """Say something on standard error; it may quote files and providers, whose control characters are spaces here."""
    from imeiflow.cli.output import make_plain

    with suppress(OSError, ValueError):
        click.echo(make_plain(text), err=True)


def _drop_output() -> None:
    """Let nothing more be written where nobody reads, not even when the interpreter flushes at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
