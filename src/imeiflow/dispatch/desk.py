"""The engine's desk: the jobs on it, the lane they share, and what is known of the account's limits.

Talks to the ledger about jobs and limits; makes no calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from imeiflow.dispatch.budget import Budget, Spent
from imeiflow.dispatch.chunk import ChunkSize
from imeiflow.dispatch.kind import CHUNK_KIND, LANE_KIND, LIMITS_KIND, WHOLE_ACCOUNT
from imeiflow.dispatch.lane import Lane
from imeiflow.dispatch.learned import tell_reason
from imeiflow.dispatch.pace import Window
from imeiflow.dispatch.price import is_watched
from imeiflow.dispatch.setting import DispatchSettings
from imeiflow.dispatch.work import JobSpent, Work
from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.progress import Tally
from imeiflow.domain.schedule import UNKNOWN, Delivery, read_delivery
from imeiflow.errors import JobStateError
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import Job
from imeiflow.ledger.spending import SpendingFilter
from imeiflow.providers.contract import Provider

if TYPE_CHECKING:
    from imeiflow.dispatch.settle import Settlement

#: A size that has not been seen to work for longer is tried by one call before all rely on it.
SEEN_LATELY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the user pinned for an account: never more calls at once, never more a minute. None is no limit."""

    concurrency: int | None = None
    per_min: float | None = None

    def cap(self, settings: DispatchSettings) -> DispatchSettings:
        """Give the account's settings, and no more than these."""
        number, rate = settings.max_concurrency, settings.rate_per_min
        return replace(
            settings,
            max_concurrency=number if self.concurrency is None else min(number, self.concurrency),
            rate_per_min=rate if self.per_min is None else min(rate or self.per_min, self.per_min),
        )


def read_limits(value: object) -> Limits:
    """Read limits as the ledger keeps them; whatever they cannot be is as if none were pinned."""
    known = value if isinstance(value, Mapping) else {}
    number, rate = known.get("concurrency"), known.get("per_min")
    return Limits(
        concurrency=number if isinstance(number, int) and number > 0 else None,
        per_min=float(rate) if isinstance(rate, int | float) and rate > 0 else None,
    )


@dataclass(frozen=True, slots=True)
class Running:
    """A job that runs; counted only where it is new to the desk."""

    job: Job
    tally: Tally = field(default_factory=Tally)
    spent: JobSpent = field(default_factory=JobSpent)
    lost_probes: int = 0
    delivery: Delivery = UNKNOWN
    heard_at: datetime | None = None  #: when the last call ended that may have placed


class Desk:
    """The running jobs of one account and its lane. `now` is the lane's time."""

    def __init__(
        self, ledger: Ledger, provider: Provider, account: AccountName, settings: DispatchSettings, *, now: float
    ) -> None:
        self.works: dict[JobId, Work] = {}
        self.settlements: dict[JobId, Settlement] = {}
        self.budget = Budget(settings.max_spend_per_day, self.works.values())
        self._today: Spent | None = None
        self._ledger = ledger
        self._provider = provider
        self._account = account
        self._chunk_sizes: dict[tuple[ServiceId, int | None], ChunkSize] = {}
        learned = ledger.learned(account)
        self._learned = {(entry.service, entry.kind): entry.value for entry in learned}
        lately = ledger.clock() - SEEN_LATELY
        sizes = [entry for entry in learned if entry.kind == CHUNK_KIND and not entry.pinned]
        self._stale = {entry.service for entry in sizes if entry.learned_at < lately}
        self._saved: dict[tuple[ServiceId, str], object] = {}
        self._pinned = read_limits(self._learned.get((WHOLE_ACCOUNT, LIMITS_KIND)))
        self._settings = settings = self._pinned.cap(settings)
        lane = next((one for one in learned if (one.service, one.kind) == (WHOLE_ACCOUNT, LANE_KIND)), None)
        age_s = 0.0 if lane is None else max(0.0, (ledger.clock() - lane.learned_at).total_seconds())
        self.lane = Lane(
            ceiling=settings.max_concurrency,
            rate=_rate_of(settings.rate_per_min),
            learned=lane.value if lane is not None and isinstance(lane.value, Mapping) else None,
            learned_at=now - age_s,
        )

    @property
    def is_canary_phase(self) -> bool:
        """Say whether calls are still far smaller than they may become: many at once would only be in the way."""
        return any(
            work.chunk_size.is_far_from_known
            and not work.chunk_size.is_known_up_to(work.largest_chunk, work.counts[OrderState.QUEUED])
            for work in self.works.values()
            if work.stop is None
        )

    @property
    def is_under_way(self) -> bool:
        """Say whether calls that place orders are out, orders to place are being read, or doubt is being settled."""
        return bool(self.settlements) or any(work.calls_under_way or work.is_reading for work in self.works.values())

    def recall(self, kind: str) -> object:
        """Give what was learned earlier about the account as a whole, as JSON values; None for nothing."""
        return self._learned.get((WHOLE_ACCOUNT, kind))

    def next_work(self) -> Work | None:
        """Give the job whose turn it is: of those with work, the one least served for its weight."""
        chosen = None
        for work in self.works.values():  # asked for with each call
            if work.has_work and (chosen is None or work.served < chosen.served):
                chosen = work
        return chosen

    def look(self) -> list[Running]:
        """Look into the ledger for jobs that run, the oldest first. Blocks; changes nothing here."""
        found: list[Running] = []
        for job in reversed(self._ledger.list_jobs(state=JobState.RUNNING, account=self._account)):
            if job.id in self.works:
                found.append(Running(job))
            else:
                spent = self._ask_spent(job.id, Decimal(0))
                lost = self._ledger.lost_probes(job.id)
                delivery = read_delivery(self._ledger.delivery(self._account, job.service, job.kind)) or UNKNOWN
                heard_at = self._ledger.last_heard(job.id)
                found.append(Running(job, self._ledger.tally(job.id), spent, lost, delivery, heard_at))
        self._today = self.budget.ask(self._ledger, self._account, [one.job.id for one in found])
        return found

    def take(self, running: Sequence[Running]) -> None:
        """Take up jobs that have started to run, and what was asked of those that do."""
        for one in running:
            work = self.works.get(one.job.id)
            if work is None:
                work = self.works[one.job.id] = self._begin(one)
            if one.job.wanted is not None:
                self._ask(work, one.job.wanted)
        self.budget.take(self._today)
        self._set_ceilings()

    def tell_lane(self, *, asking: float = 0.0) -> None:
        """Tell the lane about how many calls are still to be made: near the end nothing is gained from trying more.

        Doubt that is being settled takes a call an order. `asking`: calls that ask for results.
        """
        calls = asking
        for work in self.works.values():
            calls += work.counts[OrderState.QUEUED] / max(1, work.chunk_size.usual)
            if work.job.id in self.settlements:
                calls += work.counts[OrderState.UNCONFIRMED]
        self.lane.pace.growth.calls_left = calls

    def end_job(self, work: Work, to: JobState, reason: str | None, held: str | None = None) -> bool:
        """Write a job's end, and say whether it has ended: a job is not finished while the ledger has queued orders.

        `held` says why its doubts are held. Cancelling also cancels what is still queued. Blocks.
        """
        if to is JobState.CANCELLED:
            self._ledger.cancel_queued(work.job.id)
        with suppress(JobStateError):  # another process has moved it on: its word stands
            if to is not JobState.FINISHED:
                self._ledger.change_job(work.job.id, {JobState.RUNNING}, to, reason, held=held)
            elif not self._ledger.finish_job(work.job.id, reason, held=held):
                return False
        self.budget.add(work.at_risk)  # until the ledger is asked about it
        self.works.pop(work.job.id, None)
        self.settlements.pop(work.job.id, None)
        return True

    def _ask_spent(self, job: JobId, unknown: Decimal) -> JobSpent:
        """Ask the ledger what a job was charged; `unknown` is told where some of it has no price."""
        spending = self._ledger.spending(job)
        capped = self._ledger.charged_as_agreed(SpendingFilter(jobs=[job]))
        probed = self._ledger.probed(job)
        rise = self._ledger.price_rise(job)
        return JobSpent(
            told=spending.amount if spending else unknown,
            capped=capped,
            probed=probed.amount if probed else Decimal(0),
            unseen=Decimal(0) if rise is None or rise.more is None else rise.more.amount,
        )

    def recount(self, work: Work) -> None:
        """Take over what the ledger says of a job that has nothing under way. Blocks."""
        spent = self._ask_spent(work.job.id, work.spent)
        work.recount(self._ledger.tally(work.job.id), spent, self._ledger.lost_probes(work.job.id))

    def save(self) -> None:
        """Store what was learned since the last time. Blocks."""
        view = self.lane.view()
        why = f"{tell_reason(view.concurrency_reason)}; pace: {tell_reason(view.pace_reason)}"
        reason = f"{view.concurrency} calls at once: {why}"
        departures = self.lane.pace.departures
        if departures.starts:  # without a call nothing was learned
            self.keep(WHOLE_ACCOUNT, LANE_KIND, self.lane.as_learned(), reason, as_of=departures.last_at)
        for (service, wished), size in list(self._chunk_sizes.items()):
            learned = size.as_learned()
            if wished is None and learned is not None and size.has_news:
                self.keep(service, CHUNK_KIND, learned, tell_reason(size.reason))

    def keep(self, service: ServiceId, kind: str, value: object, reason: str, *, as_of: float | None = None) -> None:
        """Store one thing that was learned, unless it is stored already as of that time. Blocks."""
        if self._saved.get((service, kind)) != (value, as_of):
            self._ledger.learn(self._account, service, kind, value, reason)
            self._saved[service, kind] = (value, as_of)

    def _begin(self, running: Running) -> Work:
        job = running.job
        work = Work(job, running.tally, running.spent, self._chunk_size(job), self._settings.breaker)
        work.budget = self.budget
        work.largest_chunk = job.largest_chunk
        work.lost_probes = running.lost_probes
        work.delivery = running.delivery
        work.heard_at = running.heard_at
        may_send = running.tally.waiting or running.tally[OrderState.UNCONFIRMED]
        work.awaits_price = self._settings.price_max_age_s is not None and is_watched(job) and bool(may_send)
        work.served = min((other.served for other in self.works.values()), default=0.0)
        return work

    def _ask(self, work: Work, wanted: JobState) -> None:
        reason = "cancelled by the user" if wanted is JobState.CANCELLED else "paused by the user"
        if work.stop is None or wanted is JobState.CANCELLED:
            work.stop = (wanted, reason)
            work.drop_alone()

    def _chunk_size(self, job: Job) -> ChunkSize:
        full = self._provider.max_chunk
        key = (job.service, job.chunk_size)
        if key not in self._chunk_sizes:
            learned = self._learned.get((job.service, CHUNK_KIND))
            is_stale = job.service in self._stale
            self._chunk_sizes[key] = ChunkSize(full=full, known=job.chunk_size, learned=learned, is_stale=is_stale)
        return self._chunk_sizes[key]

    def _set_ceilings(self) -> None:
        """Keep under the lowest ceiling that a job on the desk sets; the account's own where none does."""
        concurrency = [work.job.max_concurrency for work in self.works.values() if work.job.max_concurrency]
        rates = [work.job.rate for work in self.works.values() if work.job.rate]
        pinned = self._pinned
        number = min(concurrency, default=self._settings.max_concurrency)
        self.lane.limit.ceiling = number if pinned.concurrency is None else min(number, pinned.concurrency)
        rate = min(rates, default=self._settings.rate_per_min)
        wanted = _rate_of(rate if pinned.per_min is None else min(rate or pinned.per_min, pinned.per_min))
        if self.lane.pace.ceiling != wanted:
            self.lane.pace.ceiling = wanted


def _rate_of(per_min: float | None) -> Window | None:
    if per_min is None:
        return None
    return Window(max(1, round(per_min)), 60.0 * max(1, round(per_min)) / per_min)
