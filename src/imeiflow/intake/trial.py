"""Reads a workbook from standard input to see whether it can be read within bounds: `python -m imeiflow.intake.trial`.

Runs in a process of its own, which a hostile workbook may end. What else is wrong with a workbook is not said here.
"""

from __future__ import annotations

import sys
from contextlib import suppress

MOST_MEMORY = 1_500_000_000
MOST_CPU_S = 120
MOST_TEXT = 200_000_000  #: characters in all cells together
TOO_MUCH_TEXT = 3  #: exit status


def main() -> None:
    """Read every visible sheet."""
    with suppress(ImportError):  # only where processes can be bounded
        import resource  # noqa: PLC0415

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import python_calamine as calamine  # noqa: PLC0415 - only now: within the bounds

    with suppress(calamine.CalamineError), calamine.CalamineWorkbook.from_filelike(sys.stdin.buffer) as book:
        size = 0
        for name in book.sheet_names:
            for row in book.get_sheet_by_name(name).iter_rows():
                size += sum(len(cell) for cell in row if type(cell) is str)
                if size > MOST_TEXT:
                    sys.exit(TOO_MUCH_TEXT)


if __name__ == "__main__":
    main()
