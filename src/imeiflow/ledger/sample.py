"""How fast jobs went, moment by moment, with the reasons of each change: what their charts are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from imeiflow.domain.ident import JobId
from imeiflow.ledger.access import Access
from imeiflow.ledger.schema import sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How fast a job went at a moment. `pace` is in calls a second; `answered` and `refused` count up.

    `reasons` say why it went like this, where that changed: by what they are about.
    """

    at: datetime
    orders_per_s: float
    calls_per_s: float
    in_flight: int
    concurrency: int
    chunk_size: int
    pace: float | None
    refused: int
    answered: int
    reasons: Mapping[str, str] | None


_NAMES = tuple(Sample.__dataclass_fields__)


class Samples(Access):
    """The part of the ledger that keeps the speed of jobs."""

    def add_sample(self, job_id: JobId, one: Sample) -> None:
        """Add a moment of a job; one of the same time is kept as it is."""
        values = {name: getattr(one, name) for name in _NAMES}
        query = insert(sample).prefix_with("OR IGNORE", dialect="sqlite").values(job_id=job_id, **values)
        self._write(lambda connection: connection.execute(query))

    def samples(self, job_id: JobId, *, after: datetime | None = None) -> list[Sample]:
        """List the moments of a job, oldest first; those later than `after` where it is given."""
        query = select(*(sample.c[name] for name in _NAMES)).where(sample.c.job_id == job_id).order_by(sample.c.at)
        if after is not None:
            query = query.where(sample.c.at > after)
        with self._read() as connection:
            return [Sample(**row._asdict()) for row in connection.execute(query)]
