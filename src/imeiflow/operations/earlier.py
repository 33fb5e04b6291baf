"""What of a list the ledger knows as ordered before under the service: found batch by batch, decided, and counted.

Reads only. What has to be known of a million rows are counts and a few examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.recurrence import Past, explain_skip, judge_past, may_order_again
from imeiflow.intake.preview import Example
from imeiflow.intake.sheet import Row
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import PastOrder
from imeiflow.operations.admission import refuse_waiting
from imeiflow.operations.timeline import say_result

_MOST_EXAMPLES: Final = 5
_MOST_JOBS: Final = 20
_LONGEST_RESULT: Final = 60


@dataclass(slots=True)
class PastGroup:
    """The IMEIs of a list whose earlier orders stand alike: how many, by which jobs, from when on, until when."""

    count: int = 0
    jobs: dict[JobId, int] = field(default_factory=dict)  #: the first of them only; others count in `count`
    first_at: datetime | None = None
    last_at: datetime | None = None
    examples: list[Example] = field(default_factory=list)

    def add(self, row: Row, order: PastOrder) -> None:
        """Count a row with its earlier order, and keep it as an example if it is among the first."""
        self.count += 1
        if order.job in self.jobs or len(self.jobs) < _MOST_JOBS:
            self.jobs[order.job] = self.jobs.get(order.job, 0) + 1
        self.first_at = order.at if self.first_at is None else min(self.first_at, order.at)
        self.last_at = order.at if self.last_at is None else max(self.last_at, order.at)
        if len(self.examples) < _MOST_EXAMPLES:
            self.examples.append(Example(row.line, row.value, row.reading.imei, _describe(order)))

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "count": self.count,
            "jobs": [{"job": job, "count": count} for job, count in self.jobs.items()],
            "first_at": self.first_at,
            "last_at": self.last_at,
            "examples": [example.as_dict() for example in self.examples],
        }


@dataclass(slots=True, kw_only=True)
class Earlier:
    """The IMEIs of a list that were ordered before under its service, grouped by how their orders stand.

    `again`: the user wants them ordered once more. `skipped` of the `count` are not sent.
    """

    again: bool = False
    groups: dict[Past, PastGroup] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Count the IMEIs."""
        return sum(group.count for group in self.groups.values())

    @property
    def skipped(self) -> int:
        """Count those that are not sent."""
        return sum(group.count for past, group in self.groups.items() if self.skips(past))

    def skips(self, past: Past) -> bool:
        """Say whether an IMEI is left out whose earlier order stands so."""
        return not may_order_again(past, is_asked=self.again)

    def add(self, row: Row, order: PastOrder) -> str | None:
        """Count a row with its earlier order; give the reason why it is left out, None where it is ordered."""
        past = judge_past(order.state, order.status)
        self.groups.setdefault(past, PastGroup()).add(row, order)
        return explain_skip(past, order.job) if self.skips(past) else None

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return {
            "count": self.count,
            "skipped": self.skipped,
            "again": self.again,
            "groups": [
                {"past": past.value, "sentence": past.sentence, "is_skipped": self.skips(past), **group.as_dict()}
                for past, group in sorted(self.groups.items(), key=lambda item: -item[1].count)
            ],
        }


class EarlierSearch:
    """Looks a list up in the ledger, batch by batch; does nothing where there is none."""

    def __init__(self, ledger: Ledger | None, account: AccountName, service: ServiceId, draft: JobId | None) -> None:
        self._ledger = ledger
        self._account = account
        self._service = service
        self._draft = draft

    def find(self, imeis: Sequence[Imei]) -> Mapping[str, PastOrder]:
        """Find the earlier orders of some IMEIs. Raises WaitingElsewhereError where one of them is queued elsewhere."""
        if self._ledger is None or not imeis:
            return {}
        found = self._ledger.find_elsewhere(self._account, self._service, imeis, exclude_job=self._draft)
        refuse_waiting(self._ledger, self._service, found)
        return {imei: one.past for imei, one in found.items() if one.past is not None}


def _describe(order: PastOrder) -> str:
    """Say in one sentence which order it was and how it stands."""
    reference = f", reference {order.reference}" if order.reference else ""
    stands = order.status.value.replace("_", " ") if order.status is not None else order.state.value
    result = say_result(order.result or "")
    if len(result) > _LONGEST_RESULT:
        result = f"{result[: _LONGEST_RESULT - 1]}…"
    return f"job {order.job} of {order.at:%Y-%m-%d}{reference}: {stands}{f', {result}' if result else ''}"
