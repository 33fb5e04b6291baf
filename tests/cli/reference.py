"""Writes the command line's reference page from the commands themselves: `python -m tests.cli.reference`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from imeiflow.cli.option import Command
from imeiflow.cli.program import SECTIONS, program

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"

_HEAD = """# Command line

This page is written from the commands themselves: `imeiflow COMMAND --help` says the same.

Results go to standard output, progress and questions to standard error. What costs money or cannot be undone is asked
first; where there is no terminal to ask at, it needs `--yes`. What the status of a command means:
[Exit status](exit-status.md). What `--json` prints of a job: [JSON summary](json-summary.md). Settings and accounts:
[Configuration](configuration.md).

Ctrl-C lets calls under way end and pauses the job, and so do the end of a terminal and `kill`; a second Ctrl-C leaves
at once, and what was under way becomes unconfirmed. An error that nobody expected leaves its trace in `log/` under
`IMEIFLOW_HOME`, keys blanked.
"""


def write_reference() -> str:
    """Give the whole page."""
    context = click.Context(program, info_name="imeiflow", **program.context_settings)
    parts = [_HEAD]
    for section, entries in SECTIONS.items():
        if not section:
            continue
        parts.append(f"## {section}\n")
        for name in entries:
            command = program.get_command(context, name)
            if not isinstance(command, Command):
                raise TypeError(f"{name} has no examples")
            parts.append("\n".join(write_command(context, name, command)))
    return "\n".join(parts)


def write_command(context: click.Context, name: str, command: Command) -> Iterator[str]:
    """Give one command's part, line by line."""
    own = click.Context(command, parent=context, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(own)])
    yield f"### {name}\n"
    yield f"`imeiflow {usage}`\n"
    yield _fold(inspect.cleandoc(command.help or ""))
    options = [option for option in command.params if isinstance(option, click.Option) and not option.hidden]
    if options:
        yield "\n| option | what it does |"
        yield "|---|---|"
        yield from (f"| {_name(option, own)} | {_say(option, own)} |" for option in options)
    yield "\n```"
    yield command.examples
    yield "```\n"


def _name(option: click.Option, context: click.Context) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    if option.is_flag:
        return f"`{names}`"
    return f"`{names} {option.make_metavar(context)}`".replace("|", "\\|")


def _say(option: click.Option, context: click.Context) -> str:
    record = option.get_help_record(context)
    text = "" if record is None else record[1]
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _fold(text: str) -> str:
    """Let a paragraph be one line, except where the help keeps its lines."""
    paragraphs = re.split(r"\n\s*\n", text)
    return "\n\n".join(" ".join(line for line in paragraph.splitlines() if line != "\b") for paragraph in paragraphs)


if __name__ == "__main__":
    PAGE.write_text(write_reference(), encoding="utf-8")
