"""Luhn sums of digits, by which IMEIs are proved. Pure."""

from __future__ import annotations

from typing import Final


def _weigh(digits: str) -> int:
    """Sum digits as Luhn does, doubling every second one from the second on."""
    return sum(sum(divmod(2 * int(digit), 10)) if place % 2 else int(digit) for place, digit in enumerate(digits))


#: Luhn sums of every group of four digits, and of three for an IMEI's last group. A group that is not ASCII digits
#: is not in here, so that one look-up both sums and checks. 000 is left out: it may end a number that lost digits.
WEIGHTS: Final = {
    group: _weigh(group) for group in (*(f"{n:04}" for n in range(10_000)), *(f"{n:03}" for n in range(1, 1_000)))
}


def is_luhn_valid(digits: str) -> bool:
    """Say whether a string of ASCII digits, of any length, ends in the right Luhn check digit."""
    if not (digits.isascii() and digits.isdigit()):
        return False
    padded = "0" * ((3 - len(digits)) % 4) + digits + "0"
    return sum(WEIGHTS[padded[start : start + 4]] for start in range(0, len(padded), 4)) % 10 == 0
