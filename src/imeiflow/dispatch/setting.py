"""What the user may set about dispatching. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from imeiflow.dispatch.breaker import BreakerPolicy
from imeiflow.domain.decision import RetryPolicy
from imeiflow.domain.doubt import LASTS
from imeiflow.domain.ident import JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """Ceilings and limits of one account's lane. Amounts are in the account's currency."""

    max_concurrency: int = 64
    rate_per_min: float | None = None
    max_spend_per_day: Decimal | None = None
    repeat_probe_max_price: Decimal = Decimal("1.00")
    probe_limits: Mapping[JobId, Decimal] = field(default_factory=dict)  #: the user's word for single jobs; it may grow
    repeat_refusal_lasts: timedelta = LASTS  #: how long a refusal of a repeat that was seen is evidence
    settle_patience_s: float = (
        15.0  #: at least so long an accepted order is waited for that is too young to be repeated
    )
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    price_max_age_s: float | None = None  #: an older price list is fetched again before anything is sent; None: never
    currency: str = ""  #: of prices for which the provider names none
    poll_s: float = 0.25  #: how often another process's requests are looked for

    def probe_limit(self, job: JobId) -> Decimal:
        """Give what repeat probes for a job may cost."""
        return self.probe_limits.get(job, self.repeat_probe_max_price)
