"""Commands in processes of their own that need not import the program first: a warm process forks them.

What a child does is what `python -m imeiflow.cli` does, with its own arguments, environment, directory and streams.
Starting from nothing is tested where a test runs `COMMAND`.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.reduction import DupFd
from typing import Any, TextIO

PRELOAD = ("tests.cli.warm", "tests.cli.preload", "tests.simulator.warm")
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(list(PRELOAD))


class Child:
    """A command that runs; as much of `subprocess.Popen[str]` as the tests use."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], cwd: str, *, text: str | None = None
    ) -> None:
        ours, theirs = zip(*(os.pipe() for _ in range(2)), strict=True)
        source, sink = (os.open(os.devnull, os.O_RDONLY), None) if text is None else os.pipe()
        streams = [DupFd(descriptor) for descriptor in (source, *theirs)]
        self._process = context.Process(target=_run, args=(tuple(arguments), dict(environment), cwd, streams))
        self._process.start()
        for descriptor in (source, *theirs):
            os.close(descriptor)
        self.args = tuple(arguments)
        self.stdout, self.stderr = (os.fdopen(descriptor, encoding="utf-8") for descriptor in ours)
        if sink is not None:
            threading.Thread(target=_feed, args=(sink, text or ""), daemon=True).start()

    @property
    def pid(self) -> int:
        """Give the process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Give the exit status, or None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Give the exit status, or None while it runs."""
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and give the exit status. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read what has not been read, and wait for the end. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        said = {"out": "", "err": ""}
        readers = [
            threading.Thread(target=_read, args=(name, stream, said), daemon=True)
            for name, stream in (("out", self.stdout), ("err", self.stderr))
            if not stream.closed
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return said["out"], said["err"]


def run(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: str, *, text: str | None, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Raises subprocess.TimeoutExpired, and has killed it then."""
    child = Child(arguments, environment, cwd, text=text)
    try:
        out, err = child.communicate(timeout)
    except subprocess.TimeoutExpired:
        child.kill()
        raise
    assert child.returncode is not None
    return subprocess.CompletedProcess(child.args, child.returncode, out, err)


def _read(name: str, stream: TextIO, said: dict[str, str]) -> None:
    with stream:
        said[name] = stream.read()


def _feed(sink: int, text: str) -> None:
    with os.fdopen(sink, "w", encoding="utf-8") as stream:
        try:
            stream.write(text)
        except BrokenPipeError:
            return


def _run(arguments: tuple[str, ...], environment: dict[str, str], cwd: str, streams: Sequence[Any]) -> None:
    """Be the command: never returns."""
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # of the process that was warmed
    time.tzset()
    os.chdir(cwd)
    for number, stream in enumerate(streams):
        descriptor = stream.detach()
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            open(number, mode, closefd=False),  # noqa: SIM115 - a descriptor, for the life of the process
            encoding="utf-8",
            errors=errors,
            line_buffering=number == 2,
        )
        for number, mode, errors in ((0, "rb", "strict"), (1, "wb", "strict"), (2, "wb", "backslashreplace"))
    )
    sys.argv = ["imeiflow", *arguments]
    from imeiflow.cli import main

    try:
        main()
    except SystemExit:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - what is left is lost, as at any exit
        raise
