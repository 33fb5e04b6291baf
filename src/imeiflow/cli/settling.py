"""Where a job's doubts are settled: on the ledger here, or at a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imeiflow.cli.frame import name_user
from imeiflow.cli.reconcile import Manner, settle_from_export
from imeiflow.domain.ident import JobId, Reference
from imeiflow.domain.imei import Imei
from imeiflow.domain.money import Money
from imeiflow.domain.progress import Summary
from imeiflow.ledger.record import Job
from imeiflow.operations.session import Session
from imeiflow.operations.settlement import (
    DoubtfulOrder,
    Doubts,
    list_doubtful,
    plan_settlement,
    settle_not_placed,
    settle_placed,
    sum_up_doubts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """The user's word about some unconfirmed orders, with what it means; `give` makes it count."""

    job: Job
    number: int
    cost: Money | None
    is_placed: bool
    reference: Reference | None
    give: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which unconfirmed orders a word is about: those of some IMEIs, those in some rows of the list; neither: all."""

    imeis: tuple[Imei, ...] | None = None
    rows: tuple[int, ...] | None = None


class SettlingDesk(Protocol):
    """Where one job's doubts are settled."""

    job: JobId

    def list_doubts(self) -> Iterator[DoubtfulOrder]:
        """Give the unconfirmed orders with their evidence."""

    def sum_up_doubts(self, most: int) -> Doubts:
        """Sum them up, the first `most` in full."""

    def find_summary(self) -> Summary:
        """Give how the job stands."""

    def take_word(self, which: Which, placed: str | None, note: str) -> Word:
        """Take the user's word about some orders: placed, be it with a reference, or not (None)."""

    def settle_by_export(self, file: Path, how: Manner, *, zone: str | None, note: str) -> None:
        """Compare with the provider's export, show it, ask, settle."""


def read_reference(placed: str | None) -> Reference | None:
    """Read the reference that came with the word `placed`."""
    return Reference(placed.strip()) if placed is not None and placed.strip() else None


class LocalDesk:
    """Settles on the ledger here."""

    def __init__(self, session: Session, job: JobId) -> None:
        self.job = job
        self._session = session

    def list_doubts(self) -> Iterator[DoubtfulOrder]:
        """Give the unconfirmed orders with their evidence."""
        return list_doubtful(self._session, self.job)

    def sum_up_doubts(self, most: int) -> Doubts:
        """Sum them up, the first `most` in full."""
        return sum_up_doubts(self._session, self.job, most=most)

    def find_summary(self) -> Summary:
        """Give how the job stands."""
        return self._session.ledger.summary(self.job)

    def take_word(self, which: Which, placed: str | None, note: str) -> Word:
        """Take the user's word about some orders."""
        session, reference = self._session, read_reference(placed)
        plan = plan_settlement(session, self.job, which.imeis, lines=which.rows)

        def give() -> None:
            if placed is None:
                settle_not_placed(session, plan, note=note, actor=name_user())
            else:
                settle_placed(session, plan, reference, note=note, actor=name_user())

        return Word(
            job=plan.job,
            number=len(plan.orders),
            cost=plan.cost,
            is_placed=placed is not None,
            reference=reference,
            give=give,
        )

    def settle_by_export(self, file: Path, how: Manner, *, zone: str | None, note: str) -> None:
        """Compare with the provider's export, show it, ask, settle."""
        settle_from_export(self._session, self.job, file, how, zone=zone, note=note)
