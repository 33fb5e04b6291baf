"""Finding orders over all jobs: by IMEI, state, status or job, as a stream, newest first. Reads only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.imei import Imei, read_imei
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.ledger.record import FoundOrder
from imeiflow.operations.session import Session

_PAGE: Final = 500
#: With IMEIs all that match is found anew for each page.
_PAGE_OF_IMEIS: Final = 50_000
_BETWEEN: Final = re.compile(r"[,;\r\n]+")


@dataclass(slots=True)
class Wanted:
    """IMEIs that a person typed or pasted: those that could be read, each once, and the texts that hold none."""

    imeis: dict[Imei, None] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def read_wanted(texts: Iterable[str]) -> Wanted:
    """Read IMEIs from texts, separated by commas, semicolons or line ends, repaired as in a list."""
    wanted = Wanted()
    for text in texts:
        for piece in filter(str.strip, _BETWEEN.split(text)):
            reading = read_imei(piece)
            if reading.imei is None:
                wanted.unreadable.append(piece.strip())
            else:
                wanted.imeis.setdefault(reading.imei)
    return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilter:
    """Which orders are wanted; None is any. `limit` is the most to give, None all."""

    imeis: Sequence[Imei] | None = None
    states: AbstractSet[OrderState] | None = None
    statuses: AbstractSet[ResultStatus] | None = None
    job: JobId | None = None
    limit: int | None = None


def find_orders(session: Session, wanted: OrderFilter) -> Iterator[FoundOrder]:
    """Give the orders that match, newest first, a page at a time. Raises UnknownJobError."""
    if wanted.job is not None:
        session.find_job(wanted.job)
    after: OrderId | None = None
    left = wanted.limit
    largest = _PAGE if wanted.imeis is None else _PAGE_OF_IMEIS
    while left is None or left > 0:
        page = largest if left is None else min(largest, left)
        found = session.ledger.search_orders(
            imeis=wanted.imeis,
            states=wanted.states,
            statuses=wanted.statuses,
            job_id=wanted.job,
            after=after,
            limit=page,
        )
        yield from found
        if len(found) < page:
            return
        after = found[-1].id
        left = None if left is None else left - len(found)
