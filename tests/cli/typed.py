"""A command as it is typed: in a process of its own, or in this one, with a home and an account of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cli import warm

PATIENCE_S = 120.0
COMMAND = (sys.executable, "-m", "imeiflow.cli")


def make_environment(home: Path, base_url: str = "http://127.0.0.1:9", **more: str) -> dict[str, str]:
    """Give an environment in which nothing of the machine's own settings is left."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("IMEIFLOW", "GSM_", "DHRU_"))}
    return {
        **kept,
        "IMEIFLOW_HOME": str(home),
        "TMPDIR": str(home.parent),
        "GSM_FUSION_BASE_URL": base_url,
        "GSM_FUSION_USERNAME": "simulated",
        "GSM_FUSION_API_KEY": "simulated-key",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        **more,
    }


def run_typed(
    arguments: tuple[str, ...], environment: Mapping[str, str], text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, without a terminal; `text` is its standard input."""
    return warm.run(arguments, environment, environment["TMPDIR"], text=text, timeout=PATIENCE_S)
