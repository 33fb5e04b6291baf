"""How long something takes, said in a few characters: `3.5`, `0.3-18`, `lognormal:3.5,0.8`, `pareto:1,1.5,60`.

Pure: the random numbers come from outside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import assert_never

FORM = "SECONDS, LOW-HIGH, lognormal:MEDIAN,SIGMA[,MAX] or pareto:LOW,ALPHA[,MAX]"


class Shape(StrEnum):
    """The distributions that a delay can follow."""

    FIXED = "fixed"
    UNIFORM = "uniform"
    LOGNORMAL = "lognormal"  #: median and sigma
    PARETO = "pareto"  #: a heavy tail: least value and alpha


@dataclass(frozen=True, slots=True)
class Delay:
    """A delay in seconds, never negative and never above `most`."""

    shape: Shape
    first: float
    second: float = 0.0
    most: float = math.inf

    @classmethod
    def parse(cls, text: str) -> Delay:
        """Read a delay in one of the forms of `FORM`; ValueError for anything else."""
        name, colon, rest = text.strip().partition(":")
        if colon:
            word = name.strip().lower()
            if word not in set(Shape):
                raise ValueError(FORM)
            shape = Shape(word)
            numbers = [_read_seconds(part) for part in rest.split(",")]
            if shape not in {Shape.LOGNORMAL, Shape.PARETO} or not 2 <= len(numbers) <= 3 or numbers[1] <= 0:
                raise ValueError(FORM)
            return cls(shape, numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else math.inf)
        low, dash, high = name.partition("-")
        if not dash:
            return cls(Shape.FIXED, _read_seconds(low))
        first, second = _read_seconds(low), _read_seconds(high)
        if second < first:
            raise ValueError(FORM)
        return cls(Shape.UNIFORM, first, second)

    @property
    def is_fixed(self) -> bool:
        """Say whether every draw is the same."""
        return self.shape is Shape.FIXED

    def draw(self, random: Random) -> float:
        """Draw one delay in seconds."""
        match self.shape:
            case Shape.FIXED:
                return self.first
            case Shape.UNIFORM:
                return random.uniform(self.first, self.second)
            case Shape.LOGNORMAL:
                return min(self.most, self.first * math.exp(random.gauss(0.0, self.second)))
            case Shape.PARETO:
                return min(self.most, self.first * random.paretovariate(self.second))
            case _:
                assert_never(self.shape)


def _read_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise ValueError(FORM) from None
    if not 0 <= seconds < math.inf:
        raise ValueError(FORM)
    return seconds
