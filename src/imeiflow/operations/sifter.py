"""Which rows of a list are ordered, and which repeat an order that is known or are none."""

from __future__ import annotations

from collections.abc import Sequence

from imeiflow.domain.order import OrderState
from imeiflow.intake.preview import Preview
from imeiflow.intake.repetition import Deduplicator
from imeiflow.intake.sheet import Row
from imeiflow.ledger.record import NewOrder, PastOrder
from imeiflow.operations.earlier import Earlier, EarlierSearch


class Sifter:
    """Tells the rows that will be ordered from the others, in one pass: `preview` and `earlier` are what it counts."""

    def __init__(self, search: EarlierSearch, *, again: bool) -> None:
        self.preview = Preview()
        self.earlier = Earlier(again=again)
        self._search = search
        self._seen = Deduplicator()

    def sift(self, rows: Sequence[Row]) -> list[NewOrder]:
        """Give the orders of some rows. Raises WaitingElsewhereError."""
        firsts = [_find_first(self._seen, row) for row in rows]
        new = (row.reading.imei for row, first in zip(rows, firsts, strict=True) if first is None)
        past = self._search.find([imei for imei in new if imei is not None])
        orders = []
        for row, first in zip(rows, firsts, strict=True):
            order = None if first is not None or row.reading.imei is None else past.get(row.reading.imei)
            reason = None if order is None else self.earlier.add(row, order)
            self.preview.add(row, first, is_skipped=reason is not None)
            orders.append(_make_order(row, first, None if reason is None else order, reason))
        return orders


def _make_order(row: Row, first: int | None, earlier: PastOrder | None, reason: str | None) -> NewOrder:
    reading = row.reading
    columns = row.columns if len(row.columns) > 1 else None
    if row.value == reading.imei and not reading.repairs and first is None and earlier is None:  # as nearly all are
        return NewOrder(row.line, reading.imei, columns)
    if reading.flaw is not None:
        state = OrderState.INVALID
    else:
        state = OrderState.QUEUED if first is None and earlier is None else OrderState.REPEATED
    return NewOrder(
        line=row.line,
        imei=reading.imei,
        state=state,
        value=None if row.value == reading.imei else row.value,
        repairs=",".join(reading.repairs) or None,
        flaw=None if reading.flaw is None else reading.flaw.value,
        repeated_of=first,
        earlier=None if earlier is None else earlier.order,
        error=reason,
        columns=columns,
    )


def _find_first(seen: Deduplicator, row: Row) -> int | None:
    imei = row.reading.imei
    return None if imei is None else seen.find_first(imei, row.line)
