"""The batch processor of the script that this replaces: its shapes, in front of the engine and its promise."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from typing import Any, TypedDict

import structlog

from imeiflow.domain.order import OrderState
from imeiflow.errors import UsageError
from imeiflow.library.blocking import Client
from imeiflow.library.legacy import explain, show_order
from imeiflow.library.report import NOT_ORDERED, Counts, Report
from imeiflow.library.submission import Options, is_in_doubt_before

log = structlog.get_logger(__name__)

_ASSUMED_CALL_S = 3.5
_MAX_CHUNK = 100
_USUAL_CONCURRENCY = 64
_CANARY_ROUNDS = 2


class Result(TypedDict, total=False):
    """What became of a list, in JSON values. In the end successful + duplicates + errors + unconfirmed = total.

    `duplicates` were ordered before, or stand in the list before (`repeated` of them). `errors` are certainly not
    ordered, for the reasons in `error_details` (`imei`, `message`, `state`); `not_sent` of them still wait in `job`,
    which is then paused for `reason`. `unconfirmed` may have been placed and charged. `orders` have `id`, `imei` and
    `status`. `spent` is an exact amount as a text; None where a price is not known. Until `done` the four add up to
    `processed`, and the lists are empty.
    """

    total: int
    processed: int
    percent: float
    successful: int
    duplicates: int
    errors: int
    unconfirmed: int
    orders: list[dict[str, Any]]
    error_details: list[dict[str, Any]]
    duplicate_imeis: list[str]
    unconfirmed_imeis: list[str]
    repeated: int
    not_sent: int
    job: int
    state: str
    reason: str | None
    spent: str | None
    currency: str
    processing_time: float
    done: bool


class Settings(TypedDict):
    """What `get_recommended_settings` gives; `rate_limit_delay` and `estimated_time` in seconds."""

    max_workers: int
    chunk_size: int
    rate_limit_delay: float
    estimated_time: float
    strategy: str


Callback = Callable[[int, int, Result], object]
Imeis = str | int | Iterable[str | int | None]


class BatchIMEIProcessor:
    """Orders lists of any size, through the account that the environment describes, or that `client` belongs to.

    `max_workers` is a ceiling for calls at once, `chunk_size` for IMEIs a call, `rate_limit_delay` the least time
    between the starts of calls, on average, in seconds. Below them what the provider takes is found out; without them
    it is found out as well. Raises UsageError. May be used by several threads.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        chunk_size: int | None = None,
        rate_limit_delay: float = 0.0,
        *,
        client: Client | None = None,
    ) -> None:
        _check_ceiling("max_workers", max_workers)
        _check_ceiling("chunk_size", chunk_size)
        is_number = isinstance(rate_limit_delay, int | float) and not isinstance(rate_limit_delay, bool)
        if not is_number or not 0 <= rate_limit_delay < math.inf:
            raise UsageError(problem=f"rate_limit_delay must be seconds, 0 or more, not {rate_limit_delay!r}")
        self.max_workers = max_workers
        self.chunk_size = chunk_size
        self.rate_limit_delay = rate_limit_delay
        self._client = client

    def process_batch(self, imeis: Imeis, service_id: str | int, progress_callback: Callback | None = None) -> Result:
        """Order a list and wait for the end. `progress_callback(processed, total, result)` hears of it meanwhile.

        It is called in the caller's thread, some times a second, and in the end with the result that is returned. What
        it raises is logged and changes nothing, for money is under way; Ctrl-C and the like end the work well and
        are raised. The same call again goes on with a list that was interrupted. Raises ImeiflowError where nothing
        could be ordered at all: see `Client.submit`.
        """
        result = Result()
        with closing(self.process_with_progress(imeis, service_id)) as moments:
            for result in moments:
                if progress_callback is not None:
                    _call(progress_callback, result)
        return result

    def process_with_progress(self, imeis: Imeis, service_id: str | int) -> Generator[Result, None, None]:
        """Order a list, yielding how far it is some times a second; the last one is the result, with `done` true.

        To leave the loop pauses the job once the calls under way have ended; the same call again goes on with it.
        Raises as `process_batch` does.
        """
        began_at = time.monotonic()
        client = self._client or Client()
        try:
            moments = client.stream(imeis, service_id, **self._options())
            while True:
                try:
                    moment = next(moments)
                except StopIteration as end:
                    yield _describe_end(client, end.value, time.monotonic() - began_at)
                    return
                result = _count(moment.counts)
                result |= Result(job=int(moment.job), processing_time=time.monotonic() - began_at, done=False)
                yield result
        finally:
            moments.close()
            if self._client is None:
                client.close()

    def _options(self) -> Options:
        rate = 60.0 / self.rate_limit_delay if self.rate_limit_delay else None
        return Options(max_chunk=self.chunk_size, max_concurrency=self.max_workers, rate_per_min=rate)


def get_recommended_settings(num_imeis: int) -> Settings:
    """Recommend settings for a list of `num_imeis`: ceilings that let the provider's own limits be found out.

    `estimated_time` supposes calls of 3.5 s that carry 100 IMEIs, and nothing known of the provider.
    """
    if isinstance(num_imeis, bool) or not isinstance(num_imeis, int) or num_imeis < 0:
        raise UsageError(problem=f"a number of IMEIs is expected, not {num_imeis!r}")
    rounds = math.ceil(math.ceil(num_imeis / _MAX_CHUNK) / _USUAL_CONCURRENCY)
    canaries = min(_CANARY_ROUNDS, max(0, num_imeis - 1))
    return Settings(
        max_workers=_USUAL_CONCURRENCY,
        chunk_size=_MAX_CHUNK,
        rate_limit_delay=0.0,
        estimated_time=(canaries + rounds) * _ASSUMED_CALL_S,
        strategy="Ceilings only: what the provider takes is found out, and remembered",
    )


def _count(counts: Counts) -> Result:
    return Result(
        total=counts.total,
        processed=counts.processed,
        percent=round(100 * counts.processed / counts.total, 1) if counts.total else 100.0,
        successful=counts.accepted,
        duplicates=counts.duplicate,
        errors=counts.not_ordered,
        unconfirmed=counts.unconfirmed,
        orders=[],
        error_details=[],
    )


def _describe_end(client: Client, report: Report, processing_time: float) -> Result:
    counts = report.counts
    # What still waits in a paused job is not ordered: to leave it out of the errors would say that all is well.
    result = _count(counts) | Result(
        errors=counts.not_ordered + counts.waiting,
        not_sent=counts.waiting,
        repeated=0,
        duplicate_imeis=[],
        unconfirmed_imeis=[],
        job=int(report.job),
        state=report.state.value,
        reason=report.reason,
        spent=f"{report.spent.amount:f}" if report.spent is not None else None,
        currency=report.spent.currency if report.spent is not None else "",
        processing_time=processing_time,
        done=True,
    )
    for row in client.rows(report.job):
        imei = row.imei or row.value or ""
        if row.state is OrderState.ACCEPTED:
            result["orders"].append(show_order(row))
        elif row.state is OrderState.UNCONFIRMED or is_in_doubt_before(row):
            result["unconfirmed_imeis"].append(imei)
        elif row.state is OrderState.DUPLICATE or row.state is OrderState.REPEATED:
            result["duplicate_imeis"].append(imei)
            result["repeated"] += row.repeated_of is not None
        else:
            state = row.state.value if row.state in NOT_ORDERED else "not_sent"
            result["error_details"].append({"imei": imei, "message": explain(row, report), "state": state})
    return result


def _call(progress_callback: Callback, result: Result) -> None:
    try:
        progress_callback(result["processed"], result["total"], result)
    except Exception:  # whoever looks on does not hold up what is paid for
        log.warning("progress_callback_failed", job=result["job"], exc_info=True)


def _check_ceiling(name: str, value: int | None) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(problem=f"{name} must be a whole number, 1 or more, not {value!r}")
