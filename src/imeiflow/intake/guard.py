"""What a workbook may cost to be read, found out before it is: sizes that lie, cells far out, documents that unfold.

The library that reads workbooks holds a sheet as the whole rectangle around its cells, with a copy of a shared text for
each cell that shows it, and ends the process where there is no memory for it. So an archive is unpacked once without
keeping anything, and whatever is not plainly within bounds is read by another process first, which may use so much
memory and no more.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from typing import Final

from imeiflow.intake.error import FormatError
from imeiflow.intake.format import ZIP_ERRORS, Format
from imeiflow.intake.origin import Origin
from imeiflow.intake.trial import MOST_TEXT, TOO_MUCH_TEXT

_MOST_ENTRIES: Final = 10_000
_MOST_UNPACKED: Final = 1_000_000_000
_ALWAYS_UNPACKED: Final = 50_000_000  #: up to here, however well it is packed
_MOST_RATIO: Final = 200
_MOST_PLAIN_CELLS: Final = 10_000_000
_TRIAL_S: Final = 180
_PART: Final = 1 << 20
_OVERLAP: Final = 64
#: A cell beyond column Z, or a row beyond 999,999.
_FAR: Final = re.compile(rb'<c r="(?:[A-Za-z]{2}|[A-Za-z][0-9]{7}|[^A-Za-z])')
#: Where a shared text begins.
_SHARED: Final = re.compile(rb"[<:]si[\s>/]")
_TAG: Final = 4  #: bytes of such a beginning

_REMEDY: Final = "Save the list alone, as XLSX or CSV."


def check_workbook(origin: Origin, kind: Format) -> None:
    """Raise FormatError for a workbook that would take more memory than a list does."""
    is_plain = kind is not Format.XLS and _unpack(origin) and kind is Format.XLSX
    if not is_plain:
        _try_out(origin)


def _unpack(origin: Origin) -> bool:
    """Unpack an archive without keeping anything; say whether all its cells stand plainly where lists have theirs.

    What an archive says of its sizes is not believed. Raises FormatError for one that unfolds beyond measure.
    """
    size, is_plain, cells, longest = 0, True, 0, 0
    most = max(_ALWAYS_UNPACKED, min(_MOST_UNPACKED, _MOST_RATIO * origin.size))
    try:
        with origin.open() as file, zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            told = sum(entry.file_size for entry in entries)
            if len(entries) > _MOST_ENTRIES:
                problem = f"it has {len(entries):,} parts, and a workbook has some dozens"
                raise FormatError(source=origin.name, problem=problem, remedy=_REMEDY)
            if told > most:
                raise _too_large(origin, told)
            for entry in entries:
                with archive.open(entry) as unpacked:
                    before, texts = b"", SharedTexts()
                    while part := unpacked.read(_PART):
                        size += len(part)
                        if size > most:
                            raise _too_large(origin, size)
                        cells += part.count(b"<c ")
                        is_plain = is_plain and _is_plain(before + part)
                        texts.look(part)
                        before = part[-_OVERLAP:]
                    longest = max(longest, texts.longest)
    except ZIP_ERRORS as error:
        raise FormatError(source=origin.name, problem=f"the workbook is damaged ({error})") from error
    return is_plain and cells <= _MOST_PLAIN_CELLS and cells * longest <= MOST_TEXT


class SharedTexts:
    """Measures the texts that cells share, as the parts of their file come: none is longer than its bytes."""

    def __init__(self) -> None:
        self._longest = 0
        self._seen = 0
        self._began: int | None = None  #: where the last text began; None where none has
        self._cut = b""

    @property
    def longest(self) -> int:
        """Give the bytes of the longest of them; 0 where there is none."""
        return self._longest if self._began is None else max(self._longest, self._seen - self._began)

    def look(self, part: bytes) -> None:
        """Look at the next part of the file."""
        whole, start = self._cut + part, self._seen - len(self._cut)
        for found in _SHARED.finditer(whole):
            at = start + found.start()
            if self._began is not None:
                self._longest = max(self._longest, at - self._began)
            self._began = at
        self._seen += len(part)
        self._cut = whole[1 - _TAG :]


def _is_plain(part: bytes) -> bool:
    """Say whether each cell that holds something says where it stands, and none of them stands far out."""
    nameless = part.count(b"<c ") - part.count(b'<c r="')
    if nameless and re.search(rb"<c r?=?\Z", part):
        nameless -= 1  # cut at the end of a part: it is seen whole at the beginning of the next
    if nameless or any(tag in part for tag in (b"<c>", b":c ", b":c>")):
        return False
    return _FAR.search(part) is None


def _try_out(origin: Origin) -> None:
    """Have another process read it, with a bound to its memory. Raises FormatError where it does not get through."""
    command = [sys.executable, "-I", "-m", "imeiflow.intake.trial"]
    try:
        with origin.open() as file:
            done = subprocess.run(command, stdin=file, capture_output=True, timeout=_TRIAL_S, check=False)
    except subprocess.TimeoutExpired:
        raise FormatError(source=origin.name, problem="it takes too long to be read", remedy=_REMEDY) from None
    if done.returncode == TOO_MUCH_TEXT:
        problem = f"it holds more than {MOST_TEXT // 1_000_000:,} million characters in its cells"
        raise FormatError(source=origin.name, problem=problem, remedy=_REMEDY)
    if done.returncode < 0 or b"MemoryError" in done.stderr or b"memory allocation" in done.stderr:
        problem = "it needs more memory than a list may: its cells stand too far apart, or are too many"
        remedy = "Delete the empty rows and columns behind the list and save it, or save it as CSV."
        raise FormatError(source=origin.name, problem=problem, remedy=remedy)


def _too_large(origin: Origin, size: int) -> FormatError:
    return FormatError(source=origin.name, problem=f"it would unpack to {size / 1e6:,.0f} MB", remedy=_REMEDY)
