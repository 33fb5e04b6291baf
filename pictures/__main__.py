"""Draw the pictures of README and docs: `imeiflow demo` half way and at its end, and pages of the web application.

python -m pictures [demo] [web]
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from pictures.terminal import Terminal
from pictures.web import draw_pages

_FOLDER = Path(__file__).resolve().parent.parent / "docs" / "image"
_HALF_WAY = re.compile(r"\b(4[5-9]|5\d)%")


def main(names: list[str]) -> int:
    """Draw what is named, or all; give the exit status."""
    _FOLDER.mkdir(exist_ok=True)
    if not names or "web" in names:
        draw_pages(_FOLDER)
    return _draw_demo() if not names or "demo" in names else 0


def _draw_demo() -> int:
    """Run the demo once, draw it on the way and at the end; give its exit status."""
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
        _forget_folder(terminal.text())
        return terminal.status


def _forget_folder(text: str) -> None:
    """Remove what the demonstration left, and its folder's name from the pictures."""
    found = re.search(r"rm -r (\S+)", text)
    if found is None:
        return
    shutil.rmtree(found[1])
    for picture in _FOLDER.glob("demo-*.svg"):
        drawn = picture.read_text(encoding="utf-8")
        picture.write_text(drawn.replace(found[1], "/tmp/imeiflow-demo"), encoding="utf-8")  # noqa: S108 - only shown


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
