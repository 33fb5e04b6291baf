"""Dependencies point down only: import-linter's contracts hold, and they speak of every layer that there is."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINTER = Path(sys.executable).with_name("lint-imports")


def run_linter(config: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINTER, "--config", config, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_every_import_keeps_to_the_layers():
    done = run_linter(ROOT / "pyproject.toml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_import_that_points_up_would_be_seen(tmp_path):
    config = tmp_path / "pyproject.toml"
    config.write_text(
        '[tool.importlinter]\nroot_packages = ["imeiflow"]\n'
        '[[tool.importlinter.contracts]]\nname = "Upside down"\ntype = "layers"\n'
        'layers = ["imeiflow.errors", "imeiflow.domain", "imeiflow.ledger"]\n'
    )
    done = run_linter(config)
    assert done.returncode == 1
    assert "Upside down BROKEN" in done.stdout


def test_every_package_stands_in_a_layer():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layered = {name.strip() for layer in contracts[0]["layers"] for name in layer.split("|")}
    packages = {path.parent.name for path in (ROOT / "src" / "imeiflow").glob("*/__init__.py")}
    assert {f"imeiflow.{package}" for package in packages} <= layered
