"""Simulated servers in processes of their own that need not import anything first: the warm process forks them.

Starting one from nothing, as the program does, is tested in `test_process`.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.reduction import DupFd
from typing import Any

from imeiflow.simulator.behaviour import Behaviour
from imeiflow.simulator.process import SimulatorProcess, run_child
from tests.cli.warm import context


class Child:
    """A server that runs; as much of `subprocess.Popen[bytes]` as `SimulatorProcess` uses."""

    def __init__(self) -> None:
        source, ours = os.pipe()
        theirs, sink = os.pipe()
        streams = [DupFd(source), DupFd(sink)]
        self._process = context.Process(target=_run, args=(streams,), daemon=True)
        self._process.start()
        os.close(source)
        os.close(sink)
        self.stdin, self.stdout = os.fdopen(ours, "wb"), os.fdopen(theirs, "rb")

    @property
    def pid(self) -> int:
        """Give the process id."""
        assert self._process.pid is not None
        return self._process.pid

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and give the exit status. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("the simulated server", timeout or 0.0)
        return self._process.exitcode

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


def start_simulator(behaviour: Behaviour | None = None) -> SimulatorProcess:
    """Start a server and wait until it listens."""
    return SimulatorProcess.start(behaviour, spawn=Child)  # type: ignore[arg-type]


def _run(streams: Sequence[Any]) -> None:
    """Be the server until standard input closes."""
    os.setsid()
    for number, stream in enumerate(streams):
        descriptor = stream.detach()
        os.dup2(descriptor, number)
        os.close(descriptor)

    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False))  # noqa: SIM115
    sys.stdout = io.TextIOWrapper(open(1, "wb", closefd=False))  # noqa: SIM115
    run_child()
