"""The command line: what people and scripts type. Together with the library's front the only composition root.

Imports only what every start needs; a command's own module is imported when it is called.
"""

from __future__ import annotations

import sys

from imeiflow.cli.program import prepare_streams, program, run


def main() -> None:
    """Run the command that was typed and exit with its status."""
    prepare_streams()
    sys.exit(run(program, sys.argv[1:]))
