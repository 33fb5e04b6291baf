"""How fast jobs went, moment by moment, with the reasons of each change: what their charts are drawn from."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select

from imeiflow.domain.ident import JobId
from imeiflow.ledger.access import Access
from imeiflow.ledger.record import Sample
from imeiflow.ledger.schema import sample

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
