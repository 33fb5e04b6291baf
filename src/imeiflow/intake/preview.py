"""What a list would order, before anything is sent: counts first, then what was repaired and what is wrong.

A value that is filled in one pass over the rows; its size does not grow with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from imeiflow.domain.imei import Flaw, Imei, Repair
from imeiflow.intake.sheet import Row

_MOST_EXAMPLES: Final = 5
_LONGEST_VALUE: Final = 80


@dataclass(frozen=True, slots=True)
class Example:
    """A row to show: its line, what stood there, the IMEI read from it if any, and what there is to say."""

    line: int
    value: str
    imei: Imei | None
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {"line": self.line, "value": self.value, "imei": self.imei, "sentence": self.sentence}


@dataclass(slots=True)
class Group:
    """Rows of one kind: how many, and the first few."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, row: Row, sentence: str) -> None:
        """Count a row, and keep it as an example if it is among the first."""
        self.count += 1
        if len(self.examples) < _MOST_EXAMPLES:
            value = row.value if len(row.value) <= _LONGEST_VALUE else row.value[: _LONGEST_VALUE - 1] + "…"
            self.examples.append(Example(row.line, value, row.reading.imei, sentence))

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {"count": self.count, "examples": [example.as_dict() for example in self.examples]}


@dataclass(slots=True)
class Preview:
    """Counts and examples of a list's rows. `total` is always `valid` + `skipped` + `repeated` + `invalid`.

    `valid` counts the IMEIs to be ordered, each once; `skipped` those that are left out for having been ordered before.
    A row with several repairs is in the group of each, and counts once in `repaired`; a repeated or skipped row is in
    no other group.
    """

    total: int = 0
    valid: int = 0
    skipped: int = 0
    repaired: int = 0
    invalid: int = 0
    repairs: dict[Repair, Group] = field(default_factory=dict)
    flaws: dict[Flaw, Group] = field(default_factory=dict)
    repetitions: Group = field(default_factory=Group)

    @property
    def repeated(self) -> int:
        """Count the rows whose IMEI stood in the list before."""
        return self.repetitions.count

    def add(self, row: Row, repeated_of: int | None, *, is_skipped: bool = False) -> None:
        """Count a row; `repeated_of` is the line on which its IMEI stood first, None when this is the first."""
        self.total += 1
        reading = row.reading
        if reading.flaw is not None:
            self.invalid += 1
            self.flaws.setdefault(reading.flaw, Group()).add(row, reading.sentence)
        elif repeated_of is not None:
            self.repetitions.add(row, f"It stood on line {repeated_of} already, and is ordered at most once.")
        elif is_skipped:
            self.skipped += 1
        else:
            self.valid += 1
            if reading.repairs:
                self.repaired += 1
                for repair in reading.repairs:
                    self.repairs.setdefault(repair, Group()).add(row, repair.sentence)

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON values; the groups ordered by their size, the largest first."""
        return {
            "total": self.total,
            "valid": self.valid,
            "skipped": self.skipped,
            "repaired": self.repaired,
            "invalid": self.invalid,
            "repeated": self.repeated,
            "repairs": [
                {"repair": repair.value, "sentence": repair.sentence, **group.as_dict()}
                for repair, group in sorted(self.repairs.items(), key=lambda item: -item[1].count)
            ],
            "flaws": [
                {"flaw": flaw.value, "sentence": flaw.sentence, "remedy": flaw.remedy, **group.as_dict()}
                for flaw, group in sorted(self.flaws.items(), key=lambda item: -item[1].count)
            ],
            "repetitions": self.repetitions.as_dict(),
        }
