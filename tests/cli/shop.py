"""A shop that orders at a simulated provider, by typing commands in processes of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from imeiflow.domain.imei import Imei, check_digit
from imeiflow.simulator.behaviour import Behaviour
from imeiflow.simulator.process import SimulatorProcess
from tests.cli.typed import PATIENCE_S, make_environment, run_typed
from tests.cli.warm import Child
from tests.cli.wiretap import Wiretap
from tests.judge import Verdict, judge
from tests.mould import cast_ledger
from tests.simulator.warm import start_simulator

PRICE = "0.08"  #: of service 1


class Shop:
    """A home, an account at a simulated provider, and lists of IMEIs."""

    def __init__(
        self, directory: Path, simulator: SimulatorProcess, wiretap: Wiretap, *, has_ledger: bool = True
    ) -> None:
        self.home = directory / "home"
        if has_ledger:
            cast_ledger(self.home / "ledger.sqlite")
        self.simulator = simulator
        self.wiretap = wiretap
        self.environment = make_environment(self.home, wiretap.base_url)
        self._directory = directory
        self._started: list[Child] = []

    def write_list(self, count: int, *, start: int = 0, more: Sequence[str] = ()) -> str:
        """Write a list of so many good IMEIs, and what is given beside, and name it."""
        path = self._directory / f"phones-{start}.csv"
        rows = [*(make_imei(start + number) for number in range(count)), *more]
        path.write_text("\n".join(["IMEI", *rows]) + "\n", encoding="utf-8")
        return str(path)

    def type(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, without a terminal."""
        return run_typed(arguments, self.environment, text)

    def submit(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Order a list without being asked; give the exit status and the last JSON object."""
        done = self.type("submit", *arguments, "--service", "1", "--yes", "--json")
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout.splitlines()[-1])

    def start(self, *arguments: str) -> Child:
        """Start a command that goes on."""
        child = Child(arguments, self.environment, str(self._directory))
        self._started.append(child)
        return child

    def start_placing(self, *arguments: str) -> Child:
        """Start a command, and wait until it has sent a call that places orders."""
        self.wiretap.is_placing.clear()
        child = self.start(*arguments)
        assert self.wiretap.is_placing.wait(PATIENCE_S)
        return child

    def wait_for_call(self) -> None:
        """Wait until another call that places orders has been sent."""
        self.wiretap.is_placing.clear()
        assert self.wiretap.is_placing.wait(PATIENCE_S)

    def judge(self) -> Verdict:
        """Compare the ledger with the provider's book, order by order."""
        return judge(self.home / "ledger.sqlite", self.simulator.book())

    def close(self) -> None:
        """End what was started and did not end by itself."""
        for child in self._started:
            child.kill()
            child.communicate()


@contextmanager
def open_shop(directory: Path, **behaviour: object) -> Iterator[Shop]:
    """Open a shop at a provider of its own."""
    with ExitStack() as stack:
        simulator = stack.enter_context(start_simulator(Behaviour.parse(behaviour)))
        wiretap = Wiretap(simulator.base_url)
        stack.callback(wiretap.close)
        shop = Shop(directory, simulator, wiretap)
        stack.callback(shop.close)
        yield shop


def make_imei(number: int) -> Imei:
    """Make the IMEI of a test phone."""
    first14 = f"35000000{number:06}"
    return Imei(first14 + check_digit(first14))


def finish(child: Child) -> tuple[int, str, str]:
    """Wait for the end of a command; give status, output and what it said."""
    out, err = child.communicate(timeout=PATIENCE_S)
    return child.returncode, out, err


def last_json(text: str) -> dict[str, Any]:
    """Read the last line of an output."""
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found


def add_up(summary: dict[str, Any]) -> int:
    """Add the counts of a summary up; they make the total."""
    names = ("accepted", "duplicate", "refused", "failed", "unconfirmed", "queued", "invalid", "repeated", "cancelled")
    return sum(summary[name] for name in names)
