"""The order book of the simulated server: every order that was ever placed, and the money.

Pure: the clock's reading is passed in, in seconds since 1970. An entry never changes and never goes: the life of an
order is decided when it is placed, and its status follows from the time at which one asks.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from imeiflow.domain.order import ResultStatus

FIRST_REFERENCE = 10_000_001


class Life(NamedTuple):
    """How long an order stays pending, then in process, and how it ends."""

    pending: float = 0.0
    process: float = 0.0
    is_rejected: bool = False
    is_refunded: bool = False  #: its price is given back when it is rejected


class Entry(NamedTuple):
    """One order as the server has it. A repeat that is charged is another entry. Times are seconds since 1970.

    A tuple, because a frozen dataclass takes five times as long to make, and orders are most of the work.
    """

    reference: str
    imei: str
    service: str
    price: Decimal
    placed_at: float
    call: int  #: number of the call that placed it
    is_reported: bool  #: the reply named it, whether or not the reply arrived
    is_repeat: bool  #: the same IMEI stood in the book before, under the same service
    life: Life

    @property
    def final_at(self) -> float:
        """Say when its status becomes final."""
        return self.placed_at + self.life.pending + self.life.process

    @property
    def is_charged(self) -> bool:
        """Say whether it cost anything."""
        return self.price > 0

    def status_at(self, now: float) -> ResultStatus:
        """Say its status at `now`."""
        if now >= self.final_at:
            return ResultStatus.REJECTED if self.life.is_rejected else ResultStatus.COMPLETED
        return ResultStatus.PENDING if now < self.placed_at + self.life.pending else ResultStatus.IN_PROCESS

    def refunded_at(self, now: float) -> Decimal:
        """Say how much of its price has been given back by `now`."""
        is_back = self.life.is_rejected and self.life.is_refunded and now >= self.final_at
        return self.price if is_back else Decimal(0)

    def to_json(self, now: float) -> str:
        """Give it as one line of JSON, with its status at `now`."""
        return json.dumps(
            {
                "reference": self.reference,
                "imei": self.imei,
                "service": self.service,
                "price": str(self.price),
                "placed_at": self.placed_at,
                "call": self.call,
                "is_reported": self.is_reported,
                "is_repeat": self.is_repeat,
                "life": [self.life.pending, self.life.process, self.life.is_rejected, self.life.is_refunded],
                "status": self.status_at(now),
                "is_charged": self.is_charged,
                "refunded": str(self.refunded_at(now)),
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, line: str | bytes) -> Entry:
        """Read back what `to_json` gave."""
        row = json.loads(line)
        return cls(
            row["reference"],
            row["imei"],
            row["service"],
            Decimal(row["price"]),
            row["placed_at"],
            row["call"],
            row["is_reported"],
            row["is_repeat"],
            Life(*row["life"]),
        )


class Book:
    """All entries in the order of placing, found by reference and by IMEI, and the balance."""

    def __init__(self, credit: Decimal) -> None:
        self.paid_in = credit
        self.charged = Decimal(0)
        self.repeated = 0  #: how many entries are repeats
        self._entries: list[Entry] = []
        self._by_imei: dict[str, list[Entry]] = {}
        self._by_order_id: dict[str, Sequence[Entry]] = {}
        self._refundable: list[tuple[float, int, Decimal]] = []
        self._refunded = Decimal(0)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def place(
        self,
        imei: str,
        service: str,
        price: Decimal,
        now: float,
        *,
        life: Life,
        call: int = 0,
        is_reported: bool = True,
    ) -> Entry:
        """Place one order and charge it; the caller has looked at the credit."""
        earlier = self._by_imei.get(imei)
        is_repeat = earlier is not None and any(entry.service == service for entry in earlier)
        reference = str(FIRST_REFERENCE + len(self._entries))
        entry = Entry(reference, imei, service, price, now, call, is_reported, is_repeat, life)
        self._entries.append(entry)
        if earlier is None:
            self._by_imei[imei] = [entry]
        else:
            earlier.append(entry)
        self.charged += price
        self.repeated += is_repeat
        if life.is_rejected and life.is_refunded:
            heapq.heappush(self._refundable, (entry.final_at, len(self._entries), price))
        return entry

    def pay_in(self, amount: Decimal) -> None:
        """Add to the balance; a negative amount takes away."""
        self.paid_in += amount

    def balance(self, now: float) -> Decimal:
        """Say what is left at `now`: paid in, less charges, plus refunds of orders rejected by then."""
        return self.paid_in - self.charged + self.refunded(now)

    def refunded(self, now: float) -> Decimal:
        """Sum up the refunds until `now`; clocks run forward."""
        while self._refundable and self._refundable[0][0] <= now:
            self._refunded += heapq.heappop(self._refundable)[2]
        return self._refunded

    def find(self, reference: str) -> Entry | None:
        """Find an entry by its reference."""
        if not (reference.isascii() and reference.isdigit()) or len(reference) > 15:
            return None
        index = int(reference) - FIRST_REFERENCE
        return self._entries[index] if 0 <= index < len(self._entries) else None

    def orders_of(self, imei: str, service: str | None = None) -> Sequence[Entry]:
        """List the entries of an IMEI, oldest first, under one service or all."""
        entries = self._by_imei.get(imei, [])
        return [entry for entry in entries if service is None or entry.service == service]

    def latest(self, imei: str, service: str) -> Entry | None:
        """Find the last entry of an IMEI under a service."""
        for entry in reversed(self._by_imei.get(imei, ())):
            if entry.service == service:
                return entry
        return None

    def remember(self, order_id: str, entries: Sequence[Entry]) -> None:
        """Keep the orders of a call under the client's own id of it."""
        self._by_order_id[order_id] = entries

    def orders_under(self, order_id: str) -> Sequence[Entry]:
        """List the orders that a client's own id stands for."""
        return self._by_order_id.get(order_id, ()) if order_id else ()

    def recent(self, count: int) -> Sequence[Entry]:
        """List the last `count` entries, newest first."""
        return self._entries[: -count - 1 : -1] if count else []

    def repeats(self) -> Sequence[Entry]:
        """List the entries that are repeats: what was paid for once too often."""
        return [entry for entry in self._entries if entry.is_repeat]

    def slice(self, start: int, stop: int) -> Sequence[Entry]:
        """Give the entries from position `start` up to `stop`."""
        return self._entries[start:stop]
