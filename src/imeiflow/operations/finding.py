"""What the results of a job say altogether: how many phones of which carrier, locked or not, with Find My on or off.

Reads only, and no more results than a person waits for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from imeiflow.domain.ident import JobId
from imeiflow.domain.order import OrderState
from imeiflow.operations.session import Session
from imeiflow.results.anomaly import read_order_result
from imeiflow.results.result import Note

#: The fields that a shop sorts phones by.
NAMES: Final = ("carrier", "simlock", "find_my", "gsma_status")
_MOST: Final = 20_000
_MOST_VALUES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Findings:
    """How often results of a job say what, by field, the most frequent first; of `read` results.

    Without `is_all` there are more results than were read. What a result does not say is not counted. `foreign` of them
    speak of another phone than the one that was ordered.
    """

    read: int
    is_all: bool
    counts: Mapping[str, Mapping[str, int]]
    foreign: int = 0


def count_findings(session: Session, job: JobId, *, most: int = _MOST) -> Findings:
    """Count what the first results of a job say. Raises UnknownJobError."""
    session.find_job(job)
    rows = session.ledger.order_rows(job, frozenset({OrderState.ACCEPTED}))
    texts = ((row.result, row.imei) for row in rows if row.result)
    counters = {name: Counter[str]() for name in NAMES}
    spellings: dict[str, str] = {}
    read = foreign = 0
    for text, imei in islice(texts, most):
        read += 1
        result = read_order_result(text, imei)
        foreign += Note.FOREIGN_IMEI in result.notes
        for name, counter in counters.items():
            field = result.find(name)
            if field is not None and (field.shown.casefold() in counter or len(counter) < _MOST_VALUES):
                counter[field.shown.casefold()] += 1
                spellings.setdefault(field.shown.casefold(), field.shown)
    counts = {
        name: {spellings[value]: number for value, number in counter.most_common()}
        for name, counter in counters.items()
        if counter
    }
    return Findings(read, next(texts, None) is None, counts, foreign)
