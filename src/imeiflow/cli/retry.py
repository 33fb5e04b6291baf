"""What a retry and a stop say and ask, of a job of the ledger here and of a server's alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from imeiflow.cli.frame import confirm
from imeiflow.cli.output import count, say
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState
from imeiflow.domain.progress import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Rise:
    """A price that has risen since a job was confirmed: `price` may be accepted."""

    change: str
    cost: str
    price: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What a retry would send again: counts by state, those that other jobs have ordered since, and those that wait."""

    job: int
    counts: Mapping[str, int]
    cost: Money | None
    elsewhere: Mapping[int, int]
    waiting: int

    @property
    def count(self) -> int:
        """Count the orders."""
        return sum(self.counts.values())


def tell_left_alone(retry: Retry, chosen: Collection[str]) -> bool:
    """Say what is left alone because other jobs ordered it since, and where that is all; say whether there is more."""
    for other, number in retry.elsewhere.items():
        were = "was ordered" if number == 1 else "were ordered"
        say(f"{count(number, 'IMEI')} {were} by job {other} since, and left alone; --again sends also those.")
    if retry.count:
        return True
    more = " other" if retry.elsewhere else ""
    say(f"Job {retry.job} has no{more} orders that are {' or '.join(sorted(chosen))}: nothing was sent.")
    return False


def confirm_retry(retry: Retry, rise: Rise | None, *, is_sure: bool) -> bool:
    """Ask whether orders are to be sent again, with what it costs; a no is said."""
    told = " and ".join(f"{number:,} {state}" for state, number in retry.counts.items())
    cost = f"at most {retry.cost}" if retry.cost is not None else "at a price that is not known"
    if rise is not None:
        cost = f"at most {rise.price * retry.count} ({rise.change})"
    also = f" The job then also sends the {retry.waiting:,} that still wait." if retry.waiting else ""
    orders = "order" if retry.count == 1 else "orders"
    question = f"Send {told} {orders} of job {retry.job} again, {cost}?{also}"
    if confirm(question, action="sending orders again", is_sure=is_sure):
        return True
    say("Nothing was sent.")
    return False


class StopTeller:
    """Says how many orders are under way while a job stops, each time that they are others."""

    def __init__(self, job: int, verb: str) -> None:
        self._verb = verb
        self._told = 0
        say(f"{verb} job {job} …")

    def tell(self, tally: Tally) -> None:
        """Say it."""
        under_way = tally[OrderState.SENDING]
        if under_way and under_way != self._told:
            self._told = under_way
            say(f"{self._verb}: {count(under_way, 'order')} under way, which will still be charged")
