"""How long a million rows take to read, and how much memory, each in a process of its own.

python benchmarks/intake.py [rows]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import xlsxwriter

from imeiflow.domain.imei import check_digit
from imeiflow.intake.preview import Preview
from imeiflow.intake.repetition import Deduplicator
from imeiflow.intake.sheet import open_sheet


def make_imei(number: int) -> str:
    first14 = f"35693803{number % 1_000_000:06}"
    return first14 + check_digit(first14)


def write_files(folder: Path, count: int) -> list[Path]:
    """Write the same list as CSV, plain text and XLSX."""
    table, lines, book = folder / "list.csv", folder / "list.txt", folder / "list.xlsx"
    with table.open("w") as file:
        file.write("Order,IMEI,Model,Note\r\n")
        file.writelines(f'{n},{make_imei(n)},iPhone 13,"black, 128 GB"\r\n' for n in range(count))
    with lines.open("w") as file:
        file.writelines(f"{make_imei(n)}\n" for n in range(count))
    with xlsxwriter.Workbook(str(book), {"constant_memory": True}) as workbook:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, ["IMEI", "Model", "Note"])
        for n in range(min(count, 1_048_575)):
            sheet.write_number(n + 1, 0, int(make_imei(n)))
            sheet.write_string(n + 1, 1, "iPhone 13")
            sheet.write_string(n + 1, 2, "black, 128 GB")
    return [table, lines, book]


def measure(path: Path) -> None:
    """Read a list once for its IMEIs alone, once more for a whole preview, and print seconds and memory."""
    start, busy = time.perf_counter(), time.process_time()
    with open_sheet(path) as sheet:
        opened = time.perf_counter()
        valid = sum(row.reading.imei is not None for row in sheet.rows())
        read, read_busy = time.perf_counter(), time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        seen, preview = Deduplicator(), Preview()
        for row in sheet.rows():
            imei = row.reading.imei
            preview.add(row, None if imei is None else seen.find_first(imei, row.line))
        end = time.perf_counter()
    print(
        f"{path.suffix[1:]:5} {valid:,} IMEIs: open {opened - start:.2f} s, rows {read - opened:.2f} s "
        f"(processor, both: {read_busy - busy:.2f} s), peak {peak} MB; "
        f"rows, repetitions and preview {end - read:.2f} s, "
        f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB"
    )


def main() -> None:
    """Measure every format, each in a process of its own so that one's memory is not the other's."""
    if len(sys.argv) == 3:
        measure(Path(sys.argv[2]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        for path in write_files(Path(folder), count):
            subprocess.run([sys.executable, __file__, "measure", str(path)], check=True)


if __name__ == "__main__":
    main()
