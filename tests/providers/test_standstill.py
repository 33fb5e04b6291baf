"""A process that stands still while its calls are answered reads the replies when it goes on."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from imeiflow.domain.outcome import Ending
from imeiflow.providers.contract import Exchange, Timeouts
from tests.providers.wire import IMEI, SERVICE, accept_orders, connect

ROOT = Path(__file__).parents[2]
LOOPS = ["asyncio", *(["uvloop"] if importlib.util.find_spec("uvloop") else [])]
#: What a call may take, as a whole or in silence, where it is to be exceeded; and so long is never reached here.
SHORT_S, LONG_S = 3.0, 600.0


class Answerer:
    """A server in a thread of its own. It reads one request, and answers when it is told to."""

    def __init__(self, on_request: Callable[[], object]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._on_request = on_request
        self._may_answer, self._has_answered = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def answer(self) -> None:
        """Answer, and return when the reply has arrived on this machine."""
        self._may_answer.set()
        assert self._has_answered.wait(60)

    def close(self) -> None:
        """End it."""
        self._may_answer.set()
        self._thread.join(60)
        self._socket.close()

    def _serve(self) -> None:
        client, _ = self._socket.accept()
        with client:
            received = b""
            while IMEI.encode() not in received:
                received += client.recv(65536)
            self._on_request()
            self._may_answer.wait(60)
            body = accept_orders(IMEI)
            client.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            self._has_answered.set()
            client.recv(1)  # until the other side closes


@contextmanager
def serve(on_request: Callable[[], object]) -> Iterator[Answerer]:
    server = Answerer(on_request)
    try:
        yield server
    finally:
        server.close()


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop for which time passes that nobody waits for."""

    skipped_s = 0.0

    def time(self) -> float:
        return super().time() + self.skipped_s


async def place_through_a_standstill(read_s: float, total_s: float, *, is_answered: bool) -> Exchange:
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    assert isinstance(loop, SkippingLoop)
    timeouts = Timeouts(connect_s=30.0, pool_s=30.0, read_s=read_s, total_s=total_s)
    with serve(lambda: loop.call_soon_threadsafe(arrived.set)) as server:
        async with connect(server.port, timeouts) as connection:
            placing = asyncio.create_task(connection.place([IMEI], SERVICE))
            await arrived.wait()
            if is_answered:
                server.answer()  # the loop stands still
            loop.skipped_s += 3 * SHORT_S
            placement = await placing
    return placement.exchange


@pytest.mark.parametrize(("read_s", "total_s"), [(LONG_S, SHORT_S), (SHORT_S, LONG_S)])
@pytest.mark.parametrize("is_answered", [True, False])
def test_what_has_arrived_is_read_before_a_call_is_given_up(read_s: float, total_s: float, *, is_answered: bool):
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        exchange = runner.run(place_through_a_standstill(read_s, total_s, is_answered=is_answered))
    assert exchange.ending is (Ending.ANSWERED if is_answered else Ending.IN_DOUBT)
    if not is_answered:
        words = "the call took too long (no end within" if total_s < read_s else "no answer in time (nothing was heard"
        assert exchange.problem.startswith(words)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="a process cannot be frozen on this system")
def test_a_frozen_process_reads_the_replies_that_came_meanwhile():
    """Frozen for longer than a call may take, in each kind of event loop that there is."""
    frozen: dict[str, subprocess.Popen[str]] = {}
    with ExitStack() as stack:
        for name in LOOPS:
            sleeper = _Sleeper()
            server = stack.enter_context(serve(sleeper.freeze))
            process = stack.enter_context(sleeper.start(server.port, name))
            assert sleeper.is_frozen.wait(60)
            server.answer()
            frozen[name] = process
        time.sleep(SHORT_S + 0.5)  # no signal tells that a time is over which a frozen process does not see
        for process in frozen.values():
            os.kill(process.pid, signal.SIGCONT)
        said = {name: process.communicate(timeout=60)[0].strip() for name, process in frozen.items()}
    assert said == dict.fromkeys(LOOPS, "answered")


class _Sleeper:
    """A process that is frozen as soon as its request has arrived."""

    def __init__(self) -> None:
        self.is_frozen = threading.Event()
        self._has_started = threading.Event()
        self._pid = 0

    @contextmanager
    def start(self, port: int, loop: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "tests.providers.sleeper", str(port), str(SHORT_S), str(SHORT_S), loop]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            self._pid = process.pid
            self._has_started.set()
            yield process
        finally:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        assert self._has_started.wait(60)
        os.kill(self._pid, signal.SIGSTOP)
        self.is_frozen.set()
