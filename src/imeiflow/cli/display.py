"""Progress on standard error: a live picture in a terminal, a line now and then anywhere else.

A display that cannot be written is given up: nobody looking is no reason to stop a job.
"""

from __future__ import annotations

import os
import sys
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from imeiflow.cli.moment import Line, describe_left, describe_line, describe_moment, share_done, show_share
from imeiflow.cli.output import count, cut, is_terminal, say
from imeiflow.operations.follow import Progress
from imeiflow.operations.json_text import clean

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Seconds between two lines: at first, and once a job has shown that it takes its time.
_LINE_EVERY_S = (5.0, 15.0)
_LONG_S = 60.0
_LABEL_WIDTH = 7


class Display(Protocol):
    """Shows how far a job is."""

    def show(self, progress: Progress) -> None:
        """Show a moment."""

    def close(self) -> None:
        """Take the picture away."""


def open_display() -> Display:
    """Choose how progress is shown on standard error."""
    return LiveDisplay() if has_live_terminal(sys.stderr) else PlainDisplay()


def has_live_terminal(stream: TextIO) -> bool:
    """Say whether a stream leads to a terminal on which a picture can be drawn anew."""
    return is_terminal(stream) and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


class PlainDisplay:
    """A line every few seconds, and at once when something out of the ordinary happens."""

    def __init__(self, write: Callable[[str], None] = say, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._written_at: float | None = None
        self._state: object = None

    def show(self, progress: Progress) -> None:
        """Write a line when it is time for one."""
        view = progress.view
        stopping = view.stopping if view is not None else None
        is_blocked = view is not None and view.blocked_s > 0
        is_settling = view is not None and view.is_settling
        state = (progress.interruptions, progress.owner, stopping, is_blocked, is_settling)
        now = self._clock()
        every_s = _LINE_EVERY_S[progress.elapsed_s >= _LONG_S]
        if state == self._state and self._written_at is not None and now - self._written_at < every_s:
            return
        self._written_at, self._state = now, state
        self._write(f"{time.strftime('%H:%M:%S')} {describe_line(progress)}")

    def close(self) -> None:
        """Do nothing: what was written stays."""


class LiveDisplay:
    """A picture that is drawn anew a few times a second, and is gone at the end; `draw` lays a moment out."""

    def __init__(
        self, console: Console | None = None, *, draw: Callable[[Any, int], RenderableType] | None = None
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = console or Console(stderr=True, highlight=False, soft_wrap=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._draw = draw or draw_moment
        self._is_lost = False
        self._terminal = _hide_control_characters()
        self._guard(self._live.start)

    def show(self, progress: Any) -> None:
        """Draw a moment."""
        self._guard(lambda: self._live.update(self._draw(progress, self._console.width), refresh=True))

    def close(self) -> None:
        """Take the picture away."""
        self._guard(self._live.stop)
        if self._terminal is not None:
            _set_terminal(self._terminal)
            self._terminal = None

    def _guard(self, draw: Callable[[], None]) -> None:
        if not self._is_lost:
            try:
                draw()
            except (OSError, ValueError):
                self._is_lost = True
                with suppress(OSError, ValueError):
                    self._live.stop()


def _hide_control_characters() -> list[Any] | None:
    """Let the terminal not write `^C` into the picture, and give its attributes; None where there is none."""
    try:
        attributes = termios.tcgetattr(sys.stdin)
    except (termios.error, OSError, ValueError):
        return None
    hidden = [*attributes]
    hidden[3] &= ~termios.ECHOCTL
    _set_terminal(hidden)
    return attributes


def _set_terminal(attributes: list[Any]) -> None:
    with suppress(termios.error, OSError, ValueError):
        termios.tcsetattr(sys.stdin, termios.TCSANOW, attributes)


def draw_moment(progress: Progress, width: int) -> RenderableType:
    """Lay a moment out for a terminal of so many columns."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    job, tally = progress.job, progress.tally
    title = f"Job {job.id}: {count(tally.total, 'row')} of {clean(job.name)}, service {job.service}"
    if job.service_name:
        title += f" {clean(job.service_name)}"
    done = f" {show_share(progress):>4}  {describe_left(progress)}".rstrip()
    bar = Table.grid(padding=0)
    bar.add_column(width=max(10, min(60, width - len(done) - 1)))
    bar.add_column(no_wrap=True)
    bar.add_row(ProgressBar(total=1.0, completed=share_done(progress)), done)
    body = Table.grid(padding=(0, 1), expand=False)
    body.add_column(width=_LABEL_WIDTH, no_wrap=True, style="dim")
    body.add_column(overflow="fold")
    first, *others = describe_moment(progress)
    for line in others:
        body.add_row(line.label, _draw_line(line))
    return Group(Text(cut(clean(title), width), style="bold"), bar, Text(first.value), body)


def _draw_line(line: Line) -> RenderableType:
    from rich.text import Text

    text = Text(line.value, style="yellow" if line.is_warning else "")
    if line.why:
        text.append(f"  {clean(line.why)}", style="dim")
    return text
