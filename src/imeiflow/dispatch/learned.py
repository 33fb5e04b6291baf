"""Read what a lane learned in an earlier session, as the ledger gives it back. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from imeiflow.dispatch.caution import Caution
from imeiflow.dispatch.departure import spread_parts
from imeiflow.dispatch.pace import Pace
from imeiflow.dispatch.rate import Bucket, Model, Window, describe_model

EARLIER: Final = "learned earlier"
_SUFFIX: Final = f" ({EARLIER})"


def recall_reason(why: object) -> str:
    """Give the reason of what was learned in an earlier session, and say that it was; `why` is what was stored."""
    # What was only being tried when the session ended is no reason any more.
    is_known = isinstance(why, str) and why and not why.startswith("trying")
    return f"{why}{_SUFFIX}" if is_known else EARLIER


def name_reason(reason: str) -> str:
    """Give a reason as it is stored, without the word that it was learned earlier; empty where it says no more."""
    return "" if reason == EARLIER else reason.removesuffix(_SUFFIX).removesuffix(f", {EARLIER}")


def tell_reason(reason: str) -> str:
    """Give a reason as a person reads it beside the time at which it was stored."""
    return name_reason(reason) or EARLIER


def read_reasons(learned: Mapping[str, object]) -> Mapping[str, object]:
    """Give the reasons that were stored beside what was learned, by what they are about."""
    why = learned.get("why")
    return why if isinstance(why, Mapping) else {}


def read_count(value: object) -> int | None:
    """Give a number of calls; None for whatever is none."""
    return max(1, value) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _number_of(value: object) -> float:
    return float(value) if isinstance(value, float | int) and math.isfinite(value) and value > 0 else 0.0


def read_pace(ceiling: Window | None, value: object, *, why: object = "", learned_at: float | None = None) -> Pace:
    """Read what `Pace.as_learned` gave; whatever it cannot be is as if nothing were known. `why` is its reason.

    `learned_at` is when it was stored, in the lane's time: what left by then still counts in a window.
    """
    known = value if isinstance(value, Mapping) else {}
    match known:
        case {"calls": int(calls), "period_s": float() | int() as period} if calls > 0 and period > 0:
            model: Model = Window(calls, float(period))
        case {"rate": float() | int() as rate, "burst": float() | int() as burst} if rate > 0 and burst > 0:
            model = Bucket(float(rate), float(burst))
        case _:
            return Pace(ceiling=ceiling)
    warnings = known.get("warnings")
    pace = Pace(
        ceiling=ceiling,
        model=model,
        step=_number_of(known.get("step")),
        grace_s=_number_of(known.get("grace_s")),
        caution=Caution(
            bans=read_count(known.get("bans")) or 0,
            warnings=warnings if isinstance(warnings, int) else None,
            run=read_count(known.get("run")) or 0,
            floor_s=_number_of(known.get("floor_s")),
            is_climbing=known.get("is_climbing") is True,
        ),
        carried=[] if learned_at is None else _read_carried(known.get("left"), model, learned_at),
    )
    if isinstance(why, str) and describe_model(model) in why:  # one of a moment, such as a wait, is over
        pace.reason = recall_reason(why)
    return pace


def _read_carried(parts: object, model: Model, learned_at: float) -> list[float]:
    """Read when calls left; never more than a window allows."""
    if not isinstance(model, Window) or not isinstance(parts, list):
        return []
    counts = [min(read_count(one) or 0, model.calls) for one in parts]
    return spread_parts(counts, model, learned_at)[-model.calls :]
