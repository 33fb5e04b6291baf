"""Finding orders over all jobs by what they are named, how they stand and when, as a stream. Reads only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from imeiflow.domain.imei import Imei, read_imei
from imeiflow.ledger.filter import Cursor, Filter
from imeiflow.ledger.record import FoundOrder
from imeiflow.operations.session import Session

_PAGE: Final = 200
#: With IMEIs or references all that match is found anew for each page.
_PAGE_OF_NAMES: Final = 50_000
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


def find_orders(session: Session, wanted: Filter, after: Cursor | None = None) -> Iterator[FoundOrder]:
    """Give all orders that match, newest first, a page at a time; `after` is where an earlier listing ended.

    Raises UnknownJobError.
    """
    for job in wanted.jobs or ():
        session.find_job(job)
    size = _PAGE if wanted.imeis is None and wanted.references is None else _PAGE_OF_NAMES
    while True:
        page = session.ledger.page_orders(wanted, after=after, limit=size)
        yield from page.orders
        if page.next is None:
            return
        after = page.next
