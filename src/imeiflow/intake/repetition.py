"""Which IMEIs stood in the list before, and where: 24 to 48 bytes an IMEI, so that a million fit anywhere."""

from __future__ import annotations

from array import array
from typing import Final

from imeiflow.domain.imei import Imei

#: Fibonacci hashing: consecutive serials, which lists are full of, fall far apart (Knuth, vol. 3, 6.4).
_FACTOR: Final = 0x9E3779B97F4A7C15
_WORD: Final = (1 << 64) - 1
_SMALLEST_BITS: Final = 10


class Deduplicator:
    """Remembers the line on which each IMEI stood first.

    An open-addressed table in two arrays: the IMEI + 1 as a number (0: free), and its line.
    A dict of the same takes several times the memory.
    """

    def __init__(self) -> None:
        self._count = 0
        self._allocate(_SMALLEST_BITS)

    def __len__(self) -> int:
        return self._count

    def find_first(self, imei: Imei, line: int) -> int | None:
        """Give the line that held this IMEI first, or remember this one and give None."""
        key = int(imei) + 1
        slot = ((key * _FACTOR) & _WORD) >> self._shift
        keys = self._keys
        while held := keys[slot]:
            if held == key:
                return self._lines[slot]
            slot = (slot + 1) & self._mask
        keys[slot] = key
        self._lines[slot] = line
        self._count += 1
        if self._count > self._limit:
            self._grow()
        return None

    def _allocate(self, bits: int) -> None:
        self._shift = 64 - bits
        self._mask = (1 << bits) - 1
        self._limit = (1 << bits) * 2 // 3
        self._keys = array("Q", bytes(8 << bits))
        self._lines = array("Q", bytes(8 << bits))

    def _grow(self) -> None:
        keys, lines = self._keys, self._lines
        self._allocate(65 - self._shift)
        for key, line in zip(keys, lines, strict=True):
            if key:
                slot = ((key * _FACTOR) & _WORD) >> self._shift
                while self._keys[slot]:
                    slot = (slot + 1) & self._mask
                self._keys[slot] = key
                self._lines[slot] = line
