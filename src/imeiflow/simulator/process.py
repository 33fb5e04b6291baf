"""The simulated server in a process of its own, so that it takes no time from the program under test.

It ends with its parent, however that ends: the child reads its standard input and stops when that closes.
"""

from __future__ import annotations

import gc
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPSConnection
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from imeiflow.errors import ImeiflowError
from imeiflow.simulator.behaviour import Behaviour
from imeiflow.simulator.book import Entry
from imeiflow.simulator.server import SimulatedProvider, run_simulator

_CODE = "from imeiflow.simulator.process import run_child; run_child()"
_TIMEOUT_S = 60.0


def _spawn() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )


class SimulatorError(ImeiflowError):
    """The simulated provider: {problem}"""


class SimulatorProcess:
    """A simulated server in a child process, and the questions that can be put to it."""

    def __init__(self, child: subprocess.Popen[bytes], behaviour: Behaviour, base_url: str) -> None:
        self._child = child
        self._behaviour = behaviour
        self.base_url = base_url

    @classmethod
    def start(
        cls,
        behaviour: Behaviour | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        spawn: Callable[[], subprocess.Popen[bytes]] = _spawn,
    ) -> SimulatorProcess:
        """Start a server and wait until it listens; raises SimulatorError when it cannot.

        `spawn` makes the process that runs `run_child`.
        """
        chosen, child = behaviour or Behaviour(), spawn()
        order = json.dumps({"behaviour": chosen.to_json(), "host": host, "port": port})
        if child.stdin is None or child.stdout is None:
            raise SimulatorError(problem="has no pipes")
        try:
            child.stdin.write(order.encode() + b"\n")
            child.stdin.flush()
            ready = json.loads(child.stdout.readline() or b"{}")
        except OSError as error:
            ready = {"problem": str(error)}
        if "base_url" not in ready:
            _end(child)
            raise SimulatorError(problem=ready.get("problem", "ended before it listened"))
        return cls(child, chosen, ready["base_url"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def api_key(self) -> str:
        """Give the key that is accepted."""
        return self._behaviour.api_key

    @property
    def username(self) -> str:
        """Give the user that is accepted."""
        return self._behaviour.username

    @property
    def behaviour(self) -> Behaviour:
        """Give what it was last told to do."""
        return self._behaviour

    @property
    def pid(self) -> int:
        """Give the child's process id."""
        return self._child.pid

    def book(self) -> list[Entry]:
        """Fetch every order that was placed."""
        return list(self.read_book())

    def read_book(self) -> Iterator[Entry]:
        """Fetch the orders one by one, for books that should not stand in memory twice."""
        return (Entry.from_json(line) for line in self._read_lines("/simulator/book"))

    def calls(self) -> list[dict[str, Any]]:
        """Fetch a line for every call that has ended, where `log_calls` is on."""
        return [json.loads(line) for line in self._read_lines("/simulator/calls")]

    def stats(self) -> dict[str, Any]:
        """Fetch counts and sums; amounts of money are texts."""
        return dict(json.loads(b"".join(self._read_lines("/simulator/stats"))))

    def set_behaviour(self, behaviour: Behaviour | None = None, **changes: object) -> Behaviour:
        """Behave otherwise from now on: as a whole behaviour says, or with some options changed."""
        wanted = (behaviour or self._behaviour).updated(changes)
        body = json.dumps(wanted.to_json()).encode()
        b"".join(self._read_lines("/simulator/behaviour", body))
        self._behaviour = wanted
        return wanted

    def stop(self) -> None:
        """End the server and wait for its end; book and counts are gone then."""
        _end(self._child)

    def _read_lines(self, path: str, body: bytes | None = None) -> Iterator[bytes]:
        with closing(self._connect()) as connection:
            try:
                connection.request("POST" if body is not None else "GET", path, body)
                response = connection.getresponse()
            except OSError as error:
                raise SimulatorError(problem=f"does not answer: {error}") from error
            if response.status != 200:
                raise SimulatorError(problem=response.read().decode("utf-8", "replace"))
            yield from response

    def _connect(self) -> HTTPConnection:
        address = urlsplit(self.base_url)
        host, port = address.hostname or "127.0.0.1", address.port
        if address.scheme == "http":
            return HTTPConnection(host, port, timeout=_TIMEOUT_S)
        context = ssl.create_default_context(cafile=self._behaviour.tls_cert)
        return HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)


def run_child() -> None:
    """Be the child: read what to do from standard input, say where it listens, end when standard input closes."""
    order = json.loads(sys.stdin.buffer.readline())
    gc.set_threshold(100_000, 50, 1_000)  # the book only grows: looking through it for garbage is most of a pause

    def announce(provider: SimulatedProvider, end: Callable[[], None]) -> None:
        _say({"base_url": provider.base_url})
        threading.Thread(target=_wait_for_parent, args=(end,), daemon=True).start()

    try:
        run_simulator(Behaviour.parse(order["behaviour"]), order["host"], order["port"], announce)
    except (OSError, ImeiflowError) as error:
        _say({"problem": str(error)})


def _say(message: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _wait_for_parent(end: Callable[[], None]) -> None:
    while os.read(sys.stdin.fileno(), 4096):  # below the buffer, whose lock a thread may not hold at the end
        pass
    end()


def _end(child: subprocess.Popen[bytes]) -> None:
    """Close the child's input, which ends it; end it by force when it does not."""
    if child.stdin is not None:
        with suppress(BrokenPipeError):
            child.stdin.close()
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
