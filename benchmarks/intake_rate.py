"""How fast a list goes from a file into the ledger, in a process of its own.

python -m benchmarks.intake_rate FILE
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.rig import make_imei


def measure_intake(folder: Path, count: int) -> tuple[float, float]:
    """Give rows a second and peak memory in MB."""
    path = folder / "list.csv"
    with path.open("w") as file:
        file.write("Order,IMEI,Model\r\n")
        file.writelines(f"{n},{make_imei(n)},iPhone 13\r\n" for n in range(count))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.intake_rate", str(path)], stdout=subprocess.PIPE, check=True, text=True
    )
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return count / seconds, peak


def main(path: Path) -> tuple[float, float]:
    """Read the file into a fresh ledger the way `submit` does; give seconds and peak memory in MB."""
    raise NotImplementedError


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
