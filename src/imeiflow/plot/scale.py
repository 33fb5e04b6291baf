"""Round numbers along an axis. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from 0 up to `top`, with a tick every `step`."""

    top: float
    step: float

    @property
    def ticks(self) -> list[float]:
        """List the ticks, 0 and the top among them."""
        return [number * self.step for number in range(round(self.top / self.step) + 1)]

    def share(self, value: float) -> float:
        """Say where a value stands: 0 at the bottom, 1 at the top."""
        return min(1.0, max(0.0, value / self.top))

    def write(self, value: float) -> str:
        """Write a tick's number with as many digits as its neighbours need."""
        digits = max(0, -math.floor(math.log10(self.step) + 1e-9))
        if round(self.step, digits) != self.step and digits < 9:
            digits += 1
        return f"{value:,.{digits}f}"


def choose_scale(largest: float, ticks: int = 4) -> Scale:
    """Choose the scale for values up to `largest`, with about so many ticks above 0."""
    if not math.isfinite(largest) or largest <= 0:
        return Scale(1.0, 0.5)
    raw = max(largest / ticks, 1e-9)
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(round(factor * unit, 12) for factor in _STEPS if factor * unit >= raw * (1 - 1e-9))
    return Scale(step * math.ceil(largest / step * (1 - 1e-12)), step)
