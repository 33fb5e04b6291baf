"""A command in a terminal of its own: what it writes there, and keys that are pressed."""

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from tests.cli.typed import COMMAND, PATIENCE_S

_AGAIN_S = 5.0
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """The terminal's other side. `text` is all that was written so far, without control sequences."""

    def __init__(self, child: subprocess.Popen[bytes], descriptor: int) -> None:
        self.raw = ""
        self.child = child
        self._descriptor = descriptor

    @property
    def text(self) -> str:
        """Give what was written, as a person reads it."""
        return CONTROL.sub("", self.raw).replace("\r", "")

    def wait_for(self, pattern: str) -> str:
        """Read until something was written, and give what matched; fails with all that was written instead."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < deadline, self.text
            assert self._read(deadline), f"{pattern!r} was not written:\n{self.text}"
        return found[0]

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._descriptor, keys.encode())

    def press_until(self, keys: str, pattern: str) -> None:
        """Type something, again when nothing comes of it: a signal just before a read that waits is overlooked."""
        deadline = time.monotonic() + PATIENCE_S
        while re.search(pattern, self.text) is None:
            assert time.monotonic() < deadline, self.text
            self.press(keys)
            again_at = time.monotonic() + _AGAIN_S
            while time.monotonic() < again_at and re.search(pattern, self.text) is None:
                self._read(again_at)

    def finish(self) -> int:
        """Read to the end, and give the exit status."""
        while self._read(time.monotonic() + PATIENCE_S):
            pass
        return self.child.wait(PATIENCE_S)

    def _read(self, deadline: float) -> bool:
        if not select.select([self._descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        with suppress(OSError):  # Linux says so when the other side is closed
            if data := os.read(self._descriptor, 65_536):
                self.raw += data.decode("utf-8", "replace")
                return True
        return False


@contextmanager
def open_screen(
    *arguments: str, environment: Mapping[str, str], columns: int = 80, stdin: int | None = None
) -> Iterator[Screen]:
    """Run a command in a terminal with so many columns; `stdin` is something else than the terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    kept = {name: value for name, value in environment.items() if name not in {"COLUMNS", "NO_COLOR"}}
    if "NO_COLOR" in environment and environment["NO_COLOR"] == "yes":
        kept["NO_COLOR"] = "yes"
    child = subprocess.Popen(
        [*COMMAND, *arguments],
        env={**kept, "TERM": "xterm-256color"},
        cwd=environment["TMPDIR"],
        stdin=theirs if stdin is None else stdin,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(1, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one system call, no lock
    )
    os.close(theirs)
    try:
        yield Screen(child, ours)
    finally:
        child.kill()
        child.wait()
        os.close(ours)
