"""The simulated provider alone: it says how to use it, is used, and sums up its book at the end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from imeiflow.cli.simulate import GROUPS, simulate
from imeiflow.simulator.behaviour import OPTIONS
from tests.cli.typed import COMMAND, PATIENCE_S, make_environment, run_typed
from tests.operations.stand import make_imei


@contextmanager
def simulated(tmp_path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [*COMMAND, "simulate", *arguments],
        env=make_environment(tmp_path / "home", PYTHONUNBUFFERED="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def end(child: subprocess.Popen[str]) -> tuple[str, str]:
    child.send_signal(signal.SIGINT)
    return child.communicate(timeout=PATIENCE_S)


def read_exports(child: subprocess.Popen[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in child.stdout:
        if match := re.match(r" +export (GSM_\w+)=(\S+)$", line):
            found[match[1]] = match[2]
        if "submit FILE" in line:
            return found
    raise AssertionError(child.stderr.read())


def test_what_it_prints_can_be_copied_and_used_and_ctrl_c_ends_with_its_book(tmp_path):
    with simulated(tmp_path, "--repeats", "charge") as child:
        environment = {**make_environment(tmp_path / "home"), **read_exports(child)}
        imeis = "\n".join([make_imei(1), make_imei(2)])
        for more in ((), ("--again",)):
            done = run_typed(("submit", "-", "--service", "1", "--yes", *more), environment, imeis)
            assert done.returncode == 0, done.stderr
        told, problems = end(child)
    assert child.returncode == 0
    assert problems == ""
    assert "4 orders placed, $0.32 charged." in told
    assert "IMEIs charged more than once: 2" in told


def test_its_json_says_where_it_is_and_in_the_end_what_it_counted(tmp_path):
    with simulated(tmp_path, "--json", "--credit", "5") as child:
        where = json.loads(child.stdout.readline())
        told, _ = end(child)
    assert where["base_url"].startswith("http://127.0.0.1:")
    assert json.loads(told)["credit"] == "5"


def test_a_port_that_is_taken_is_said_with_the_remedy(tmp_path):
    with simulated(tmp_path, "--json") as child:
        port = json.loads(child.stdout.readline())["base_url"].rpartition(":")[2]
        done = run_typed(("simulate", "--port", port), make_environment(tmp_path / "home"))
    assert done.returncode == 1
    assert "Name another port." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("--latency", "soon"), ("--chunk-limit", "-1"), ("--rejected-share", "2")])
def test_a_value_that_makes_no_sense_is_named(tmp_path, arguments):
    done = run_typed(("simulate", *arguments), make_environment(tmp_path / "home"))
    assert done.returncode == 2
    assert arguments[0] in done.stderr
    assert "could not convert" not in done.stderr


def test_every_option_of_the_simulator_is_one_of_the_command_line_in_a_group_with_a_heading():
    offered = {parameter.name for parameter in simulate.params}
    assert {option.name for option in OPTIONS} <= offered
    assert {option.group for option in OPTIONS} == set(GROUPS)
