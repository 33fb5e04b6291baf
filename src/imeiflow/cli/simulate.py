"""`imeiflow simulate`: the simulated provider alone, its faults as options, until Ctrl-C."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import click

from imeiflow.cli.option import Command, json_option
from imeiflow.cli.output import count, print_json, say, tell
from imeiflow.domain.money import Money
from imeiflow.errors import ConfigurationError, UsageError
from imeiflow.operations.json_text import dump_json
from imeiflow.simulator.behaviour import OPTIONS, Behaviour
from imeiflow.simulator.option import Option
from imeiflow.simulator.server import SimulatedProvider, run_simulator

#: The groups of options, as their headings.
GROUPS: Final[Mapping[str, str]] = {
    "general": "The server",
    "latency": "How long a call takes",
    "chunk": "How many IMEIs a call may carry",
    "imei": "Which IMEIs it takes",
    "faults": "Replies that get lost",
    "repeats": "IMEIs ordered before",
    "rate": "How many calls it lets in",
    "capacity": "How many calls it works on at once",
    "account": "Account, credit and services",
    "orders": "What becomes of orders",
    "reply": "How replies are written",
    "connection": "Connections",
}
_MOST_CHOICES: Final = 8  #: more of them stand in the help instead of beside the name
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class _SimulateCommand(Command):
    """A command whose help shows its many options in groups."""

    examples = """\
imeiflow simulate                                      fast, without faults
imeiflow simulate --latency 3.5 --capacity 30          slow, thirty at once
imeiflow simulate --chunk-limit 1 --chunk-cut last     one IMEI of a call
imeiflow simulate --faults 'reset:after@4%;html-502@1%'
imeiflow simulate --rate 60/min --ban-after 20"""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options group by group, those of every command first."""
        grouped: dict[str, list[tuple[str, str]]] = {"": []}
        groups = {option.name: GROUPS[option.group] for option in OPTIONS}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                grouped.setdefault(groups.get(parameter.name or "", ""), []).append(record)
        for heading in ("", *GROUPS.values()):
            with formatter.section(heading or "Options"):
                formatter.write_dl(grouped[heading])


def _make_option(option: Option) -> click.Option:
    """Make the option of the command line; its value is read by the behaviour itself."""
    name = f"--{option.name.replace('_', '-')}"
    default = _show_default(option.default)
    says = option.says if option.says.startswith("getimeis") else option.says[:1].upper() + option.says[1:]
    if len(option.choices) > _MOST_CHOICES:
        says += f": {', '.join(option.choices)}"
    says += "." + (f"  [default: {default}]" if default else "")
    if option.kind is bool:
        name += f"/--no-{option.name.replace('_', '-')}" if option.default else ""
        return click.Option([name, option.name], is_flag=True, default=None, help=says)
    kind: Any = click.Choice(option.choices) if option.choices else str
    return click.Option([name, option.name], type=kind, default=None, help=says, metavar=_name_value(option))


def _name_value(option: Option) -> str | None:
    if option.choices:
        return "HOW" if len(option.choices) > _MOST_CHOICES else None
    names = {int: "N", float: "NUMBER", tuple: "LIST"}
    return names.get(option.kind, "TEXT" if option.kind is str else "AMOUNT")


def _show_default(default: object) -> str:
    if isinstance(default, bool):
        return "yes" if default else ""
    return ",".join(default) if isinstance(default, tuple) else str(default)


def _with_behaviour(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add every option of the simulator, passed by its own name."""
    parameters: list[click.Parameter] = getattr(function, "__click_params__", [])
    parameters.extend(_make_option(option) for option in reversed(OPTIONS))
    function.__click_params__ = parameters  # type: ignore[attr-defined]
    return function


@click.command(cls=_SimulateCommand)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where it listens.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, metavar="N", help="Its port; otherwise a free one.")
@json_option
@_with_behaviour
def simulate(*, host: str, port: int, is_json: bool, **options: object) -> None:
    """Run the simulated provider alone, to try imeiflow or your own program without money.

    It speaks GSM Fusion's protocol, keeps an order book, and misbehaves as you tell it. It runs until Ctrl-C, then
    says what it counted. With --json it prints two objects: where it is, and at the end the counts.
    """
    if host not in _LOOPBACK:
        say("Anyone who can reach this address can use the simulated provider; no real order is placed by it.")
    behaviour = _read_behaviour(options)
    started: list[SimulatedProvider] = []

    def announce(provider: SimulatedProvider, _: Callable[[], None]) -> None:
        started.append(provider)
        _announce(provider, is_json=is_json)

    try:
        run_simulator(behaviour, host, port, announce)
    except OSError as error:
        raise ConfigurationError(
            setting=f"--port {port}",
            problem=f"it cannot listen at {host}: {error.strerror}",
            remedy="Name another port.",
        ) from error
    for provider in started:
        if is_json:
            print_json(provider.site.to_json())
        else:
            tell(_tell_book(provider.site.to_json()))


def _announce(provider: SimulatedProvider, *, is_json: bool) -> None:
    if is_json:
        values = {"base_url": provider.base_url, "username": provider.username, "api_key": provider.api_key}
        click.echo(dump_json(values))
        return
    click.echo(f"The simulated provider listens at {provider.base_url}. Ctrl-C ends it.")
    click.echo("In another terminal, to use it:")
    variables = (
        ("GSM_FUSION_BASE_URL", provider.base_url),
        ("GSM_FUSION_USERNAME", provider.username),
        ("GSM_FUSION_API_KEY", provider.api_key),
    )
    for name, value in variables:
        click.echo(f"  export {name}={shlex.quote(value)}")
    click.echo("  export IMEIFLOW_HOME=$(mktemp -d)    # a ledger apart, so that yours stays clean")
    click.echo("  imeiflow services --search check")
    click.echo("  imeiflow submit FILE --service 1")


def _tell_book(told: Mapping[str, Any]) -> Iterator[str]:
    """Say what the server counted, in a few lines."""
    yield ""
    calls, orders = count(told["received"], "call"), count(told["orders"], "order")
    yield f"{calls}, {orders} placed, {_show(told['charged'])} charged."
    groups: Sequence[tuple[str, str]] = (
        ("refused", "calls refused unread"),
        ("faults", "replies lost"),
        ("errors", "calls answered with an error"),
    )
    for name, says in groups:
        if told[name]:
            yield f"  {says}: " + ", ".join(f"{number:,} {kind}" for kind, number in sorted(told[name].items()))
    if told["bans"]:
        yield f"  bans: {told['bans']:,}"
    if told["repeats"]:
        yield f"  IMEIs charged more than once: {told['repeats']:,}"
    yield f"  at most {count(told['peak'], 'call')} at once; {_show(told['credit'])} of credit left"


def _show(amount: str) -> str:
    return str(Money(Decimal(amount), "USD"))


def _read_behaviour(options: Mapping[str, object]) -> Behaviour:
    """Read what was typed; a value that makes no sense is wrong usage here, and no setting of the program."""
    try:
        return Behaviour.parse({name: value for name, value in options.items() if value is not None})
    except ConfigurationError as error:
        name = f"--{error.data['setting']}".replace("_", "-")
        raise UsageError(problem=f"{name}: {error.data['problem']}", remedy=error.remedy) from error
