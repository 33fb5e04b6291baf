"""Draw the README's pictures: `imeiflow demo` half way, and at its end.

python -m pictures
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from pictures.terminal import Terminal

_FOLDER = Path(__file__).resolve().parent.parent / "docs" / "image"
_HALF_WAY = re.compile(r"\b(4[5-9]|5\d)%")


def main() -> int:
    """Run the demo once, draw it on the way and at the end; give its exit status."""
    _FOLDER.mkdir(exist_ok=True)
    program = str(Path(sys.executable).parent / "imeiflow")
    with tempfile.TemporaryDirectory() as home:
        environ = {"PATH": os.environ["PATH"], "HOME": home, "IMEIFLOW_HOME": home, "LANG": "C.UTF-8"}
        terminal = Terminal([program, "demo"], environ, columns=110, lines=44)
        is_drawn = False
        for _ in terminal.frames():
            if not is_drawn and _HALF_WAY.search(terminal.text()):
                terminal.draw(_FOLDER / "demo-running.svg", title="imeiflow demo")
                is_drawn = True
        terminal.draw(_FOLDER / "demo-end.svg", title="imeiflow demo")
        print(terminal.text())
        return terminal.status


if __name__ == "__main__":
    sys.exit(main())
