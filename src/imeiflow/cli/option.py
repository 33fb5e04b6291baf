"""How commands are declared: help with examples, and the options and arguments that several of them share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import click

from imeiflow.cli.program import keep_server
from imeiflow.errors import UsageError
from imeiflow.operations.setting import RATE, read_amount, read_rate

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose help ends with examples, as they would be typed."""

    examples: str = ""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the examples as they stand."""
        if self.examples:
            with formatter.section("Examples"):
                indent = " " * formatter.current_indent
                formatter.write("".join(f"{indent}{line}\n" for line in self.examples.splitlines()))


def command(
    *, examples: str, name: str | None = None, is_remote: bool = False
) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command; its docstring is the help, `examples` are lines as they would be typed.

    `is_remote`: it can be asked of a server, too. What the function gives is the exit status; None is 0.
    """

    def make(function: Callable[..., Any]) -> Command:
        made = click.command(name=name, cls=Command)(_add_server(function, is_shown=is_remote))
        made.examples = inspect.cleandoc(examples)
        return made

    return make


def _add_server(function: F, *, is_shown: bool) -> F:
    """Add `--server`, kept with the call of the program; where it is not shown it is there to be refused in words."""
    return click.option(
        "--server",
        metavar="URL",
        expose_value=False,
        hidden=not is_shown,
        callback=keep_server,
        help="Ask this server instead of the ledger here; its token is in IMEIFLOW_TOKEN.",
    )(function)


def json_option(function: F) -> F:
    """Add `--json`, passed as `is_json`."""
    return click.option("--json", "is_json", is_flag=True, help="Print JSON on standard output.")(function)


def log_options(function: F) -> F:
    """Add `--log-format` and `--log-to`, passed as `log_format` and `log_to`."""
    formats, places = click.Choice(["logfmt", "json"]), click.Choice(["file", "stderr"])
    function = click.option(
        "--log-to",
        type=places,
        default="file",
        show_default=True,
        help="A file under IMEIFLOW_HOME, or stderr.",
    )(function)
    return click.option(
        "--log-format", type=formats, default="logfmt", show_default=True, help="How each line of the log is written."
    )(function)


def account_option(function: F) -> F:
    """Add `--account`, passed as `account`."""
    return click.option("--account", metavar="NAME", help="Which account, where several are configured.", default=None)(
        function
    )


def yes_option(function: F) -> F:
    """Add `--yes`, passed as `is_sure`."""
    return click.option("-y", "--yes", "is_sure", is_flag=True, help="Do not ask.")(function)


def job_argument(function: F) -> F:
    """Add the argument JOB, passed as `job`."""
    return click.argument("job", type=_JobType(min=1), metavar="JOB")(function)


class _JobType(click.IntRange):
    name = "job number"


class _AmountType(click.ParamType[Decimal, Any]):
    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Read an exact amount of money."""
        if isinstance(value, Decimal):
            return value
        try:
            amount = read_amount(value)
        except ValueError:
            amount = Decimal(0)
        if not amount:
            self.fail(f"{value!r} is not an amount of money above 0, such as 25 or 12.50.", param, ctx)
        return amount


class _RateType(click.ParamType[float, Any]):
    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read calls in a time as calls a minute."""
        if isinstance(value, float):
            return value
        try:
            return read_rate(value)
        except ValueError:
            self.fail(f"{value!r} is not {RATE.says}.".replace('"', ""), param, ctx)


AMOUNT = _AmountType()
RATE_TYPE = _RateType()


def require_confirmation(action: str) -> UsageError:
    """Make the error of a command that has nobody to ask."""
    return UsageError(
        problem=f"{action} has to be confirmed, and there is no terminal to ask at",
        remedy="Say --yes if you are sure.",
    )
