"""How fast a list goes from a file into the ledger, in a process of its own.

python -m benchmarks.intake_rate FILE
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.rig import make_imei
from imeiflow.cli.following import tune_process
from imeiflow.domain.ident import ServiceId
from imeiflow.operations.configuration import load_configuration
from imeiflow.operations.session import Session
from imeiflow.operations.submit import Request, read_list
from imeiflow.simulator import Behaviour, SimulatorProcess


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
    with tempfile.TemporaryDirectory() as folder, SimulatorProcess.start(Behaviour()) as sim:
        environ = {
            "IMEIFLOW_HOME": folder,
            "GSM_FUSION_BASE_URL": sim.base_url,
            "GSM_FUSION_USERNAME": sim.username,
            "GSM_FUSION_API_KEY": sim.api_key,
        }
        configuration = load_configuration(environ, Path(folder))
        with Session.open(configuration) as session:
            start = time.perf_counter()
            tune_process()
            draft, proposal = read_list(session, Request(source=path, service=ServiceId("1")))
            with draft:
                draft.start(proposal)
            seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
