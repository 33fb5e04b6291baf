"""What is shown of an account: who works for it, and what was learned about its limits, in words. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from imeiflow.dispatch.kind import CHUNK_KIND, IDS_KIND, LANE_KIND, LIMITS_KIND
from imeiflow.domain.ident import AccountName
from imeiflow.ledger.record import Learned
from imeiflow.operations.session import Session


def find_lane_user(session: Session, account: AccountName) -> str | None:
    """Name the process that works for an account just now; None where there is none."""
    if session.lane_lock(account).is_free():
        return None
    owner = session.ledger.lane_owner(account)
    return "another process" if owner is None else owner.owner or "another process"


def name_learned(one: Learned) -> str:
    """Say what was learned about."""
    what = {
        LANE_KIND: "calls at once, pace",
        CHUNK_KIND: "orders a call",
        LIMITS_KIND: "never more than",
        IDS_KIND: "asking for statuses",
    }.get(one.kind, one.kind.replace("_", " "))
    return f"service {one.service} {one.service_name}".rstrip() if one.service else what


def say_learned(one: Learned) -> str:
    """Say what was learned."""
    match one.value:
        case {"size": int(size)}:
            return f"{size} orders a call" if size > 1 else "one order a call"
        case {"concurrency": int(number), "per_min": int() | float() | None as rate}:
            return f"{number:,} calls at once" + (f", {rate:g} calls a minute" if rate is not None else "")
        case {"concurrency": int(number), "pace": Mapping() | None as pace}:
            return f"{number:,} calls at once; {_say_pace(pace)}"
        case {"pace": Mapping() | None as pace}:
            return _say_pace(pace)
        case value:
            return str(value)


def _say_pace(pace: Mapping[str, object] | None) -> str:
    match pace:
        case {"calls": int(calls), "period_s": int() | float() as period}:
            return f"{calls} {'call' if calls == 1 else 'calls'} in {period:g} s"
        case {"rate": int() | float() as rate}:
            return f"{rate * 60:.1f} calls a minute"
        case _:
            return "no limit of pace found"
