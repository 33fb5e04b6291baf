"""One call through a lane: how it began, and how it ended. Values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

from imeiflow.dispatch.latency import Sample


class CallEnd(StrEnum):
    """How a call ended, as far as the limits care."""

    SUCCESS = "success"  #: served
    IGNORE = "ignore"  #: says nothing about the limits
    DROPPED = "dropped"  #: refused for rate or concurrency


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refusal said of itself."""

    says_rate: bool = False  #: it speaks of a rate or gives a time to wait
    is_ban: bool = False
    retry_after_s: float | None = None


class Call(Struct):
    """One call. It begins when it leaves; until then it only takes up its place."""

    claimed_at: float
    began_at: float
    size: int
    is_trial: bool = False  #: it is the one more whose fate tells whether as many are admitted
    crowd: int = 0  #: others were at the provider when it left
    sample: Sample | None = None  #: None until it leaves
