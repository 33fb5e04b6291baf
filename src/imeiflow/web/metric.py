"""What is measured, for Prometheus: names by its conventions, and no label that users or providers could multiply.

Counts attempts when they are durable, in the writer's thread; everything else is looked up when it is asked for.
"""

from __future__ import annotations

from collections import Counter as Count
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from imeiflow.dispatch.view import JobView
from imeiflow.domain.ident import AttemptId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.outcome import Ending
from imeiflow.ledger.change import Conclusion, Intent
from imeiflow.operations.stock import Stocktaking
from imeiflow.web.office import Office

log = structlog.get_logger(__name__)

_CALL_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 20, 30, 60, 120)
_COMMIT_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_REQUEST_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 5, 10)
_MOST_UNDER_WAY: Final = 10_000


class Meter:
    """Counts what happens, as an observer of the ledger and of the web application."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # series that nobody asks for
        self.registry = CollectorRegistry()
        own = self.registry
        self._attempts = Counter(
            "imeiflow_attempts",
            "Calls to place orders, by their ending.",
            ["account", "ending"],
            registry=own,
        )
        self._outcomes = Counter(
            "imeiflow_attempt_outcomes",
            "Orders of ended calls, by what the call proved of them.",
            ["account", "outcome"],
            registry=own,
        )
        self._calls = Histogram(
            "imeiflow_call_duration_seconds",
            "How long calls that tried to place orders took, those that were sent.",
            ["account"],
            buckets=_CALL_S,
            registry=own,
        )
        self._commits = Histogram(
            "imeiflow_ledger_commit_duration_seconds",
            "How long durable transactions of the ledger took.",
            buckets=_COMMIT_S,
            registry=own,
        )
        self._failures = Counter(
            "imeiflow_ledger_commit_failures", "Transactions that the ledger could not write.", registry=own
        )
        self._requests = Counter(
            "imeiflow_web_requests", "Requests answered.", ["method", "route", "status"], registry=own
        )
        self._answers = Histogram(
            "imeiflow_web_request_duration_seconds",
            "How long answers took, without live streams.",
            ["route"],
            buckets=_REQUEST_S,
            registry=own,
        )
        self._under_way: OrderedDict[AttemptId, Intent] = OrderedDict()
        ProcessCollector(registry=own)

    def committed(self, seconds: float, begun: Sequence[tuple[AttemptId, Intent]], ended: Sequence[Conclusion]) -> None:
        """Count a transaction, and log the ends of attempts. Called in the writer's thread."""
        self._commits.observe(seconds)
        self._under_way.update(begun)
        for conclusion in ended:
            self._count(conclusion, self._under_way.pop(conclusion.attempt, None))
        while len(self._under_way) > _MOST_UNDER_WAY:  # of lanes that were left at once
            self._under_way.popitem(last=False)

    def failed(self) -> None:
        """Count a transaction that could not be written."""
        self._failures.inc()

    def answered(self, method: str, route: str, status: int, seconds: float, *, is_stream: bool) -> None:
        """Count a request."""
        self._requests.labels(method, route, str(status)).inc()
        if not is_stream:
            self._answers.labels(route).observe(seconds)

    def _count(self, conclusion: Conclusion, intent: Intent | None) -> None:
        account = intent.account if intent is not None else "unknown"
        outcomes = Count(change.outcome.value for change in conclusion.changes)
        self._attempts.labels(account, conclusion.ending.value).inc()
        for outcome, number in outcomes.items():
            self._outcomes.labels(account, outcome).inc(number)
        if conclusion.ending is not Ending.NOT_SENT and conclusion.elapsed_ms is not None:
            self._calls.labels(account).observe(conclusion.elapsed_ms / 1000)
        doubts = [change.order for change in conclusion.changes if change.outcome.value == "unconfirmed"]
        log.info(
            "attempt_ended",
            job=intent.job if intent is not None else None,
            attempt=conclusion.attempt,
            account=account,
            kind=intent.kind.value if intent is not None else None,
            ending=conclusion.ending.value,
            http_status=conclusion.http_status,
            elapsed_ms=conclusion.elapsed_ms,
            orders=len(conclusion.changes),
            first_order=min((change.order for change in conclusion.changes), default=None),
            unconfirmed_orders=doubts,
            **outcomes,
        )


class Look(Collector):
    """What is looked up when it is asked for. Use it in the event loop; `stock` is what was counted last."""

    def __init__(self, office: Office) -> None:
        self.stock: Stocktaking | None = None
        self._office = office

    def collect(self) -> Iterator[Metric]:
        """Give the gauges of this moment."""
        yield from self._collect_stock()
        yield from self._collect_lanes()
        office = self._office
        yield GaugeMetricFamily("imeiflow_runner_alive", "1 while the runner works.", value=office.runner.is_alive)
        yield GaugeMetricFamily("imeiflow_web_viewers", "Pages that are open and live.", value=office.hub.viewers)
        info = GaugeMetricFamily("imeiflow_build_info", "The version that runs.", labels=["version"])
        info.add_metric([version("imeiflow")], 1)
        yield info

    def _collect_stock(self) -> Iterator[Metric]:
        stock = self.stock
        if stock is None:
            return
        orders = GaugeMetricFamily("imeiflow_orders", "Orders of all jobs, by state.", labels=["state"])
        for state in OrderState:
            orders.add_metric([state.value], stock.orders.get(state, 0))
        jobs = GaugeMetricFamily("imeiflow_jobs", "Jobs, by state.", labels=["state"])
        for job_state in JobState:
            if job_state is not JobState.DRAFT:
                jobs.add_metric([job_state.value], stock.jobs.get(job_state, 0))
        now = self._office.session.clock.now()
        age_s = 0.0 if stock.queued_since is None else max(0.0, (now - stock.queued_since).total_seconds())
        yield orders
        yield jobs
        yield GaugeMetricFamily(
            "imeiflow_queue_age_seconds", "Since when the oldest running job runs that has orders queued.", value=age_s
        )
        yield GaugeMetricFamily(
            "imeiflow_counted_timestamp_seconds",
            "When orders and jobs were counted.",
            value=stock.at.timestamp(),
        )

    def _collect_lanes(self) -> Iterator[Metric]:
        limit = _of_account("lane_concurrency_limit", "Calls that may be under way at once.")
        under_way = _of_account("lane_calls_under_way", "Calls whose answer is awaited.")
        pace = _of_account("lane_pace_calls_per_second", "Calls that may begin in a second; absent without a limit.")
        blocked = _of_account("lane_blocked_seconds", "How long nothing may be sent because of a refusal.")
        chunk = _of_account("lane_chunk_size_orders", "The smallest number of orders a call that a job is worked with.")
        rate = _of_account("lane_order_rate_per_second", "Orders a second that get an answer now.")
        for account, views in self._office.runner.lanes().items():
            if not views:
                continue
            lane = views[0].lane
            limit.add_metric([account], lane.concurrency)
            under_way.add_metric([account], lane.in_flight)
            if lane.pace is not None:
                pace.add_metric([account], lane.pace.rate)
            blocked.add_metric([account], max(view.blocked_s for view in views))
            chunk.add_metric([account], min(view.chunk_size for view in views))
            rate.add_metric([account], _add_up(views))
        yield from (limit, under_way, pace, blocked, chunk, rate)


def _of_account(name: str, says: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"imeiflow_{name}", says, labels=["account"])


def _add_up(views: Sequence[JobView]) -> float:
    """Give the speed of a lane: each of its views has that of the whole."""
    return max(view.orders_per_s for view in views)
