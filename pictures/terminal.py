"""A terminal that nobody looks at: runs a command in it, and draws what a person would have seen as SVG."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyte
from pyte.screens import Char
from rich.console import Console
from rich.style import Style
from rich.text import Text

_SILENCE_S = 0.2
#: A picture loads nothing from elsewhere: whoever looks at it has a font of fixed width.
_FOREIGN = re.compile(r"@font-face \{[^}]*\}\s*|<!--.*?-->\s*")


class Terminal:
    """A screen of `columns` and `lines` in front of one command."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], *, columns: int, lines: int) -> None:
        self._screen = pyte.HistoryScreen(columns, lines, history=1000, ratio=1)
        self._stream = pyte.ByteStream(self._screen)
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._terminal = ours
        self._process = subprocess.Popen(
            list(command),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            start_new_session=True,
        )
        os.close(theirs)

    def frames(self) -> Iterator[float]:
        """Follow the command to its end; give the seconds since the start whenever the screen may have changed."""
        began = time.monotonic()
        while True:
            readable, _, _ = select.select([self._terminal], [], [], _SILENCE_S)
            if readable:
                try:
                    data = os.read(self._terminal, 65536)
                except OSError:
                    break
                if not data:
                    break
                self._stream.feed(data)
            yield time.monotonic() - began
        self._process.wait()
        os.close(self._terminal)

    def type(self, text: str) -> None:
        """Type into the terminal."""
        os.write(self._terminal, text.encode())

    @property
    def status(self) -> int:
        """Give the command's exit status once `frames` has ended."""
        return self._process.wait()

    def text(self) -> str:
        """Give what stands on the screen, as plain lines."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def draw(self, path: Path, *, title: str) -> None:
        """Write what stands on the screen as an SVG."""
        rows = [self._screen.buffer[number] for number in range(self._screen.lines)]
        lines = [_draw_row([row[column] for column in range(self._screen.columns)]) for row in rows]
        while lines and not lines[-1].plain.strip():
            lines.pop()
        with Path(os.devnull).open("w") as nowhere:
            console = Console(record=True, width=self._screen.columns, file=nowhere, force_terminal=True)
            console.print(Text("\n").join(lines), soft_wrap=True)
            drawn = console.export_svg(title=title, unique_id=path.stem)
        path.write_text(_FOREIGN.sub("", drawn), encoding="utf-8")


def _draw_row(cells: Sequence[Char]) -> Text:
    text = Text()
    for cell in cells:
        text.append(cell.data, _style(cell))
    return text


def _style(cell: Char) -> Style:
    return Style(
        color=_colour(cell.fg), bgcolor=_colour(cell.bg), bold=cell.bold, italic=cell.italics, reverse=cell.reverse
    )


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name.lower()):
        return f"#{name}"
    bright = name.startswith("bright")
    plain = {"brown": "yellow"}.get(name.removeprefix("bright"), name.removeprefix("bright"))
    return f"bright_{plain}" if bright else plain
