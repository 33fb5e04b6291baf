"""A simulated server as the only account of a home, and the comparison of what was said with what is true."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imeiflow.simulator import Entry, SimulatorProcess
from tests.simulator.client import make_imeis

ROOT = Path(__file__).parents[2]
SERVICE = "1"
KEY = "a-key-nobody-may-see-7f3a"
PATIENCE_S = 120.0  #: a test that hangs fails instead

__all__ = ["KEY", "PATIENCE_S", "SERVICE", "Shop", "check_truth", "make_imeis"]


class Shop:
    """A simulated server, and the environment in which a program finds it and its ledger."""

    def __init__(self, simulator: SimulatorProcess, home: Path) -> None:
        self.simulator = simulator
        self.home = home

    @property
    def variables(self) -> dict[str, str]:
        return {
            "IMEIFLOW_HOME": str(self.home),
            "GSM_FUSION_BASE_URL": self.simulator.base_url,
            "GSM_FUSION_USERNAME": self.simulator.username,
            "GSM_FUSION_API_KEY": self.simulator.api_key,
        }

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.variables, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}

    def book(self) -> list[Entry]:
        return self.simulator.book()

    @contextmanager
    def start(self, program: Path | str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Start a program in a process of its own, which does not outlive the block: a file, or its text."""
        what = [str(program)] if isinstance(program, Path) else ["-c", program]
        with subprocess.Popen(
            [sys.executable, *what, *arguments],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, program: Path | str, *arguments: str) -> str:
        """Run a program to its end, and give what it printed; it must end well, and complain of nothing."""
        with self.start(program, *arguments) as process:
            said, complained = process.communicate(timeout=PATIENCE_S)
        assert (process.returncode, complained) == (0, ""), said + complained
        return said


def check_truth(result: Mapping[str, Any], values: Sequence[str], book: Sequence[Entry], *, probes: int = 0) -> None:
    """Compare a result of `process_batch` with the server's book, order by order; `values` are clean and distinct.

    `probes`: how many orders may have been placed twice, to learn whether repeats are charged.
    """
    told = ("successful", "duplicates", "errors", "unconfirmed")
    assert sum(result[name] for name in told) == result["total"] == len(values)
    placed = Counter(entry.imei for entry in book if entry.imei in set(values))
    references = {(entry.reference, entry.imei) for entry in book}
    ordered = {order["imei"] for order in result["orders"]}
    duplicates, unconfirmed = set(result["duplicate_imeis"]), set(result["unconfirmed_imeis"])
    not_ordered = {error["imei"] for error in result["error_details"]}
    lists = (ordered, duplicates, not_ordered, unconfirmed)
    assert tuple(map(len, lists)) == tuple(result[name] for name in told)
    assert set().union(*lists) == set(values)
    assert {(order["id"], order["imei"]) for order in result["orders"]} <= references
    assert ordered <= set(placed)
    assert duplicates <= set(placed)
    assert not not_ordered & set(placed)
    assert set(placed) <= ordered | duplicates | unconfirmed
    assert sum(count - 1 for count in placed.values()) <= probes
