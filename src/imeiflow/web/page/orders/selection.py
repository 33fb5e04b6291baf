"""Which orders a page shows: read from its address and written back into it. No SQL, no HTTP beyond the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, Self
from urllib.parse import urlencode

from imeiflow.domain.day import check_days, start_of_day
from imeiflow.domain.ident import AccountName, JobId, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import OrderState, ResultStatus
from imeiflow.errors import UsageError
from imeiflow.ledger.filter import Cursor, Filter, Span
from imeiflow.operations.imei_list import keep_imei_list, recall_imei_list
from imeiflow.operations.order_list import read_wanted
from imeiflow.operations.session import Session
from imeiflow.web.day import read_day

#: Up to so many IMEIs stand in the address themselves.
_MOST_IN_ADDRESS: Final = 20
_LONGEST: Final = 200
_FIELDS: Final = ("imei", "list", "reference", "state", "status", "service", "job", "account", "time", "from", "to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was chosen, as it was typed; `imeis` are those that it names, None where it names none."""

    values: dict[str, str]
    imeis: tuple[Imei, ...] | None = None
    unreadable: tuple[str, ...] = ()

    @classmethod
    def read(cls, session: Session, given: Mapping[str, Any]) -> Self:
        """Read an address. Raises UsageError, ForgottenListError."""
        values = {name: str(given.get(name) or "").strip() for name in _FIELDS}
        values = {name: text if name == "imei" else text[:_LONGEST] for name, text in values.items() if text}
        imeis: tuple[Imei, ...] | None = None
        unreadable: tuple[str, ...] = ()
        if "imei" in values:
            wanted = read_wanted([values["imei"]])
            imeis, unreadable = tuple(wanted.imeis), tuple(wanted.unreadable)
        elif "list" in values:
            imeis = recall_imei_list(session, values["list"])
        return cls(values=values, imeis=imeis, unreadable=unreadable)

    def shorten(self, session: Session, owner: str) -> Selection:
        """Keep a long list of IMEIs that somebody searches for aside, so that the address only names it."""
        if self.imeis is None or len(self.imeis) <= _MOST_IN_ADDRESS:
            return self
        rest = {name: text for name, text in self.values.items() if name != "imei"}
        return replace(self, values={**rest, "list": keep_imei_list(session, self.imeis, owner)})

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    @property
    def is_empty(self) -> bool:
        """Say whether nothing was chosen: all orders."""
        return not self.values

    @property
    def query(self) -> str:
        """Write it as it stands in an address."""
        return urlencode(self.values)

    def make_filter(self) -> Filter:
        """Make the filter. Raises UsageError for what no order can be."""
        references = tuple(Reference(part.strip()) for part in self["reference"].split(",") if part.strip())
        span = self._read_span()
        is_completed = self["time"] == "completed"
        return Filter(
            imeis=self.imeis,
            references=references or None,
            states=_read_choice(self["state"], OrderState, "state"),
            statuses=_read_choice(self["status"], ResultStatus, "status"),
            jobs=self._read_jobs(),
            service=ServiceId(self["service"]) if self["service"] else None,
            account=AccountName(self["account"]) if self["account"] else None,
            accepted=None if is_completed else span,
            completed=span if is_completed else None,
        )

    def _read_jobs(self) -> Sequence[JobId] | None:
        parts = [part.strip() for part in self["job"].split(",") if part.strip()]
        for part in parts:
            if not (part.isdecimal() and part.isascii() and len(part) <= 15):
                raise UsageError(
                    problem=f"{part[:40]!r} is no number of a job", remedy="Write it as in the list of jobs."
                )
        return tuple(JobId(int(part)) for part in parts) or None

    def _read_span(self) -> Span | None:
        first, last = read_day(self["from"]), read_day(self["to"])
        if first is None and last is None:
            return None
        check_days(first, last)
        return Span(
            None if first is None else start_of_day(first),
            None if last is None else start_of_day(last + timedelta(days=1)),
        )


def read_cursor(text: str | None) -> Cursor | None:
    """Read where a page begins. Raises UsageError."""
    try:
        return None if not text else Cursor.parse(text)
    except ValueError:
        raise UsageError(problem="this address does not name a page", remedy="Begin at the first one.") from None


def _read_choice(text: str, enum: Any, what: str) -> frozenset[Any] | None:
    if not text:
        return None
    try:
        return frozenset(enum(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            problem=f"{text[:40]!r} is no {what} of an order", remedy="Choose one from the list."
        ) from None
