"""How values are shown: numbers, money, times, tables, JSON with exact amounts. Decides nothing, asks nobody.

Results go to standard output; whatever tells what is going on goes to standard error.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TextIO

import click

from imeiflow.operations.json_text import clean, dump_json

#: Narrower or unknown, a table would be of no use.
_NARROWEST = 40
_WIDEST = 160


def print_json(value: object) -> None:
    """Print one JSON value on a line of its own on standard output."""
    click.echo(dump_json(value))


def print_json_list(values: Iterable[object]) -> None:
    """Print a JSON list on standard output, an element a line, while it is still being read.

    Nothing is printed where already the first element cannot be had.
    """
    start = "[\n"
    for value in values:
        click.echo(f"{start}{dump_json(value)}", nl=False)
        start = ",\n"
    click.echo("[\n]" if start == "[\n" else "\n]")


def say(text: str = "") -> None:
    """Say something on standard error; nobody listening is no reason to stop."""
    with suppress(OSError, ValueError):
        click.echo(fold(make_plain(text), sys.stderr), err=True)


def tell(lines: Iterable[str], *, is_aside: bool = False) -> None:
    """Print lines on standard output, long ones folded to the terminal; `is_aside`: on standard error."""
    for line in lines:
        if is_aside:
            say(line)
        else:
            click.echo(fold(make_plain(line), sys.stdout))


def make_plain(text: str) -> str:
    """Give a text that may quote files, providers and servers: their control characters are spaces here."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else " " for letter in text)


def fold(line: str, stream: TextIO) -> str:
    """Break a line that a terminal would break in the middle of a word; what goes on is indented further."""
    if not is_terminal(stream):
        return line
    width = screen_width(stream)
    if len(line) <= width:
        return line
    import textwrap

    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.fill(
        line.strip(), width, initial_indent=indent, subsequent_indent=f"{indent}    ", break_on_hyphens=False
    )


def is_terminal(stream: TextIO) -> bool:
    """Say whether a person sits at a stream."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def screen_width(stream: TextIO | None = None) -> int:
    """Give the columns that lines may have: the terminal's, `COLUMNS`, or 100."""
    stream = sys.stdout if stream is None else stream
    with suppress(OSError, ValueError, AttributeError):
        if not os.environ.get("COLUMNS") and is_terminal(stream):
            return max(_NARROWEST, min(_WIDEST, os.get_terminal_size(stream.fileno()).columns))
    return max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size((100, 24)).columns))


def print_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Iterable[int] = (), empty: str = ""
) -> None:
    """Print a table on standard output, its last column cut or wrapped to the screen; `right` are columns of numbers.

    All but the last column are as wide as they need to be. Without rows it prints `empty`.
    """
    body = [[clean(cell) for cell in row] for row in rows]
    if not body:
        click.echo(empty)
        return
    right = set(right)
    widths = [max(len(row[place]) for row in [list(headings), *body]) for place in range(len(headings))]
    room = screen_width() - sum(widths[:-1]) - 2 * (len(widths) - 1)
    widths[-1] = max(12, min(widths[-1], room))
    is_coloured = is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")
    head = _lay_out(headings, widths, right)
    click.echo(click.style(head, bold=True) if is_coloured else head)
    for row in body:
        click.echo(_lay_out(row, widths, right))


def _lay_out(cells: Sequence[str], widths: Sequence[int], right: set[int]) -> str:
    laid = (
        cut(cell, width).rjust(width) if place in right else cut(cell, width).ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(laid).rstrip()


def end_sentence(text: str) -> str:
    """Give a text from elsewhere as a sentence: with a full stop, where it has no end of its own."""
    text = clean(text)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def cut(text: str, width: int) -> str:
    """Cut a text to so many columns, with an ellipsis where something is missing."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def count(number: int, what: str, several: str | None = None) -> str:
    """Write `1 order`, `20,000 orders`."""
    return f"{number:,} {what if number == 1 else several or f'{what}s'}"


def show_time(at: datetime | None) -> str:
    """Write a time in the local zone, to the minute; a dash where there is none."""
    return "-" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M}"


def show_span(since: datetime, until: datetime) -> tuple[str, str]:
    """Write two times in the local zone, to the second; the day of the second only where it is another."""
    first, last = since.astimezone(), until.astimezone()
    return (
        f"{first:%Y-%m-%d %H:%M:%S}",
        f"{last:%H:%M:%S}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M:%S}",
    )


def show_seconds(seconds: float) -> str:
    """Write a length of time: `0.4 s`, `32 s`, `4 min 10 s`, `2 h 05 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
