import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import urlencode, urlsplit

import psutil
import pytest

from imeiflow.errors import ConfigurationError
from imeiflow.simulator import Behaviour, SimulatorProcess
from imeiflow.simulator.process import SimulatorError
from tests.simulator.client import PATH, make_imei, make_order

#: A parent that starts a server, says which, and then does nothing more.
PARENT = """
import sys
from imeiflow.simulator import SimulatorProcess
simulator = SimulatorProcess.start()
print(simulator.pid, flush=True)
sys.stdin.read()
"""


def place(base_url: str, *numbers: int) -> str:
    address = urlsplit(base_url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    form = urlencode(make_order(*(make_imei(number) for number in numbers)))
    connection.request("POST", PATH, form, {"Content-Type": "application/x-www-form-urlencoded"})
    body = connection.getresponse().read().decode()
    connection.close()
    return body


def test_a_server_in_a_child_process_takes_orders_changes_and_questions():
    with SimulatorProcess.start(Behaviour(log_calls=True)) as simulator:
        assert "<id>10000001</id>" in place(simulator.base_url, 1, 2)
        assert [entry.imei for entry in simulator.book()] == [make_imei(1), make_imei(2)]
        assert simulator.stats()["received"] == 1
        assert [call["action"] for call in simulator.calls()] == ["placeorder"]
        assert simulator.set_behaviour(chunk_limit=1).chunk_limit == 1
        place(simulator.base_url, 3, 4)
        assert [entry.imei for entry in simulator.book()][2:] == [make_imei(3)]
        with pytest.raises(ConfigurationError, match="latency"):
            simulator.set_behaviour(latency="soon")
    assert not psutil.pid_exists(simulator.pid)
    with pytest.raises(SimulatorError):
        simulator.stats()


def test_a_port_that_is_taken_is_an_error():
    with SimulatorProcess.start() as simulator:
        port = urlsplit(simulator.base_url).port
        with pytest.raises(SimulatorError, match=r"address already in use|in use"):
            SimulatorProcess.start(port=port)


def test_the_server_ends_with_a_parent_that_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}
    )
    try:
        server = psutil.Process(int(parent.stdout.readline()))
        assert server.is_running()
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait(60)
        deadline, pause = time.monotonic() + 60, threading.Event()
        while not has_ended(server):
            assert time.monotonic() < deadline
            pause.wait(0.02)
    finally:
        parent.kill()
        parent.wait(60)
        parent.stdin.close()
        parent.stdout.close()


def has_ended(process: psutil.Process) -> bool:
    """Say whether a process has ended, though whoever has it for a child now may never ask."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_in_an_orderly_way(number):
    simulator = SimulatorProcess.start()
    os.kill(simulator.pid, number)
    simulator.stop()
    assert simulator._child.returncode == 0
