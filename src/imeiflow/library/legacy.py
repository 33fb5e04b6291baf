"""The client of the script that this replaces: its names and shapes, in front of the engine and its promise."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Self, TypedDict

from imeiflow.domain.imei import Flaw
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.errors import ImeiflowError, ProviderError
from imeiflow.ledger.record import OrderRow
from imeiflow.library.blocking import Client
from imeiflow.library.error import ExtraFieldsError, NotCompletedError
from imeiflow.library.report import NOT_ORDERED, Report
from imeiflow.library.submission import is_in_doubt_before

#: The base of all errors, so that `except GSMFusionAPIError` still catches whatever a call may raise.
GSMFusionAPIError = ImeiflowError

_WORDS = {
    ResultStatus.PENDING: "Pending",
    ResultStatus.COMPLETED: "Completed",
    ResultStatus.REJECTED: "Rejected",
    ResultStatus.IN_PROCESS: "In Process",
}
_UNCONFIRMED = "unconfirmed: it may have been placed and charged; it is not ordered again before that is settled"


class OrderStatus(Enum):
    """GSM Fusion's numbers of a status."""

    PENDING = 1
    COMPLETED = 2
    REJECTED = 3
    IN_PROCESS = 4


@dataclass(frozen=True, slots=True)
class IMEIOrder:
    """What the provider says of an order; `status` is Pending, In Process, Completed, Rejected, or empty."""

    id: str
    imei: str
    package: str
    status: str
    code: str | None = None
    requested_at: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """One service of a price list; `price` is a plain number as a text, such as `0.08`."""

    package_id: str
    category: str
    title: str
    price: str
    delivery_time: str
    details: str


class Placed(TypedDict):
    """What became of the IMEIs of `place_imei_order`; orders + duplicates + errors account for every one of them.

    `orders` have `id`, `imei` and `status`; `duplicates` are IMEIs; `errors` say one sentence for each other value,
    also for those that may have been placed, whose IMEIs stand in `unconfirmed` too.
    """

    orders: list[dict[str, Any]]
    duplicates: list[str]
    errors: list[str]
    unconfirmed: list[str]
    job: int


class GSMFusionClient:
    """The client of the script, for one login at a GSM Fusion server.

    What is not given is taken from `GSM_FUSION_API_KEY`, `GSM_FUSION_USERNAME` and `GSM_FUSION_BASE_URL`, or from
    `.env`. `timeout` (seconds) is for questions; to give up a paid call early would only make doubt. `max_retries` is
    taken and has no effect: nothing that may have been placed is sent again on a guess. Raises ConfigurationError.
    """

    def __init__(
        self,
        api_key: str | None = None,
        username: str | None = None,
        base_url: str | None = None,
        timeout: float = 30,
        max_retries: int = 3,  # noqa: ARG002 - the script's
        *,
        insecure: bool = False,
    ) -> None:
        self.timeout = timeout
        self._client = Client(key=api_key or None, username=username, base_url=base_url, insecure=insecure)

    def __repr__(self) -> str:
        return repr(self._client).replace("Client", type(self).__name__, 1)

    def get_imei_services(self) -> list[ServiceInfo]:
        """Fetch the price list. Raises ProviderError where it cannot be had."""
        prices = self._client.services()
        if not prices.is_fresh:
            raise ProviderError(account=prices.account, problem=prices.problem)
        return [
            ServiceInfo(
                package_id=str(service.id),
                category=service.category,
                title=service.name,
                price=f"{service.price.amount:f}" if service.price else "",
                delivery_time=service.delivery,
                details=service.note,
            )
            for service in prices.services
        ]

    def place_imei_order(
        self,
        imei: str | int | Iterable[str | int],
        network_id: str | int,
        force_recheck: bool = False,
        **fields: object,
    ) -> Placed:
        """Order a service for one IMEI or many, and wait until the provider has answered for all of them.

        What was ordered before is a duplicate and not sent again, unless `force_recheck` has the provider decide,
        which may charge it again. `fields` of a service's own raise ExtraFieldsError where they are not empty.
        """
        given = [name for name, value in fields.items() if value is not None and value != ""]
        if given:
            raise ExtraFieldsError(fields=", ".join(given))
        report = self._client.submit(imei, network_id, reorder=force_recheck)
        placed = Placed(orders=[], duplicates=[], errors=[], unconfirmed=[], job=int(report.job))
        for row in self._client.rows(report.job):
            _add_row(placed, row, report)
        return placed

    def get_imei_orders(self, order_ids: str | int | Iterable[str | int]) -> list[IMEIOrder]:
        """Fetch how orders stand: ids as a list, or in a text separated by commas. Unknown ones are left out.

        Raises ProviderError where the provider does not answer.
        """
        ids = str(order_ids).split(",") if isinstance(order_ids, str | int) else [str(one) for one in order_ids]
        wanted = [one.strip() for one in ids if one.strip()]
        return [
            IMEIOrder(
                id=str(status.reference),
                imei=status.imei,
                package=status.service_name,
                status=_WORDS[status.status] if status.status is not None else "",
                code=status.code or None,
                requested_at=status.requested_text or None,
            )
            for status in self._client.statuses(wanted, timeout_s=self.timeout)
        ]

    def wait_for_order_completion(
        self,
        order_id: str | int,
        check_interval: float = 60,
        max_wait_time: float = 3600,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> IMEIOrder:
        """Ask every `check_interval` seconds until an order is completed, and give it.

        Raises NotCompletedError where it is rejected, not known, or not completed within `max_wait_time` seconds;
        ProviderError where the provider does not answer.
        """
        ends_at = clock() + max_wait_time
        while True:
            found = self.get_imei_orders(order_id)
            if not found:
                raise self._not_completed(order_id, "the provider does not know it")
            if found[0].status == _WORDS[ResultStatus.COMPLETED]:
                return found[0]
            if found[0].status == _WORDS[ResultStatus.REJECTED]:
                raise self._not_completed(order_id, f"it was rejected: {found[0].code or 'no reason was given'}")
            if clock() + check_interval > ends_at:
                raise self._not_completed(order_id, f"it is not completed after {max_wait_time:g} s")
            sleep(check_interval)

    def close(self) -> None:
        """End the work that is under way well, and close the ledger. Harmless twice."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _not_completed(self, order_id: str | int, problem: str) -> NotCompletedError:
        return NotCompletedError(reference=str(order_id), account=self._client.account, problem=problem)


def show_order(row: OrderRow) -> dict[str, Any]:
    """Give an accepted order as the script did; one whose status was not asked for is pending."""
    return {"id": row.reference, "imei": row.imei, "status": _WORDS[row.status or ResultStatus.PENDING]}


def explain(row: OrderRow, report: Report) -> str:
    """Say in a sentence why a row is not ordered."""
    if row.state is OrderState.INVALID:
        try:
            return f"{Flaw(row.flaw or '').sentence} Nothing was sent."
        except ValueError:
            return f"{row.flaw} Nothing was sent."
    if row.state in NOT_ORDERED:
        return row.error or f"{row.state.value} before it was sent"
    state = "paused" if report.state is JobState.PAUSED else report.state.value
    return f"not sent: job {report.job} is {state}: {report.reason or 'no reason is known'}"


def _add_row(placed: Placed, row: OrderRow, report: Report) -> None:
    imei = row.imei or row.value or ""
    if row.state is OrderState.ACCEPTED:
        placed["orders"].append(show_order(row))
    elif row.state is OrderState.UNCONFIRMED or is_in_doubt_before(row):
        placed["unconfirmed"].append(imei)
        placed["errors"].append(f"{imei}: {_UNCONFIRMED}")
    elif row.state in {OrderState.DUPLICATE, OrderState.REPEATED}:
        placed["duplicates"].append(imei)
    else:
        placed["errors"].append(f"{imei}: {explain(row, report)}")
